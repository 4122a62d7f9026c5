//go:build !wasip1

package guest

// logPanic logs a panic that is recovered from, where there is a host to log to.
func logPanic(string) {}
