//go:build !wasip1

package guest

// call has nobody to call natively.
func call(string, []byte) ([]byte, error) { return nil, ErrNoFunction }
