package memory

// Mode says how memories and images are kept.
type Mode int

const (
	// Shared has memories share the pages of their image until they write them,
	// where the system can do it. Where it cannot, it is Plain.
	Shared Mode = iota
	// Plain has every memory and image on the Go heap.
	Plain
)
