//go:build !race

package differ

const racing = false
