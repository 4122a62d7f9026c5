package host

// Result is the outcome of one task.
type Result struct {
	// Output is the caller's; nil with an error.
	Output []byte
	// Fuel is how much fuel the task burnt, or its share if it had a crossing in
	// common with others; 0 where fuel is not counted, see [InterruptMetered].
	// The same plugin burns the same for the same input and state.
	Fuel uint64
	// Err is an [*Error], or nil.
	Err error
}
