package fleet

import (
	"fmt"
	"hash/fnv"

	"github.com/resonhost/resonhost/abi"
)

// Partitions is how many partitions a fleet has. The key of a stream, with its tenant and transform, is of one of them. Frames of a partition are done
// one after the other, in the order in which they were accepted, whichever hosts do them.
const Partitions = 16

// noPartition is that of tasks of no stream, which any host does at any time.
const noPartition = -1

// partition is that of the streams of a frame. A frame whose streams are of several is an [*abi.FieldError].
func (f *Frame) partition() (int, error) {
	of := noPartition
	for i := range f.Tasks {
		switch p := f.partitionOf(&f.Tasks[i]); {
		case p == noPartition:
		case of == noPartition:
			of = p
		case of != p:
			return 0, &abi.FieldError{Field: fmt.Sprintf("Tasks[%d].Stream", i), Rule: "is of another partition than the streams before it: have Client.Frames make frames"}
		}
	}
	return of, nil
}

// partitionOf is the partition of a task.
func (f *Frame) partitionOf(t *Task) int {
	if t.Stream == "" {
		return noPartition
	}
	h := fnv.New32a()
	for _, part := range []string{f.Tenant, f.Transform, t.Stream} {
		_, _ = h.Write([]byte(part))
		_, _ = h.Write([]byte{0})
	}
	return int(h.Sum32() % Partitions)
}
