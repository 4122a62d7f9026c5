//go:build race

package differ

// racing is whether the race detector slows all down tenfold, while nothing is shared but the report.
const racing = true
