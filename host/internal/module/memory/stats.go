package memory

// Stats say what a memory holds of its own.
type Stats struct {
	// Mode is Shared if what the memory has not written since it was attached is
	// the image's.
	Mode Mode
	// ResidentPages and ResidentBytes are the copies of the image's pages that are
	// kept for the next task, as of the last Reset. A Plain memory keeps all.
	ResidentPages int
	ResidentBytes uint64
}
