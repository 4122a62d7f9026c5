//go:build !unix

package differ

import "time"

// cpuTime is not known here.
func cpuTime() time.Duration { return 0 }
