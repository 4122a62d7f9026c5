package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go"
)

// assemble reads an answer, with its pieces if it has some.
func (f *Fleet) assemble(ctx context.Context, id ID, header nats.Header, data []byte) (*Answer, error) {
	run := header.Get(headerRun)
	if run == "" {
		return ParseAnswer(data)
	}
	pieces, err := strconv.Atoi(header.Get(headerPieces))
	size, sizeErr := strconv.Atoi(header.Get(headerSize))
	if errors.Join(err, sizeErr) != nil || pieces < 1 || size < 1 || size > 2*maxOutputs || pieces > size || !submissionName.MatchString(run) {
		return nil, fmt.Errorf("%w: the answer's pieces are not described as they have to be", ErrMalformed)
	}
	var whole []byte // which grows as pieces come: that they are as many as they say is not sure
	for n := range pieces {
		msg, err := f.result(ctx, f.names.piece(id, run, n), true)
		if err != nil {
			return nil, fmt.Errorf("piece %d of an answer: %w", n, err)
		}
		if whole = append(whole, msg.Data...); len(whole) > size {
			break
		}
	}
	if sum := sha256.Sum256(whole); len(whole) != size || hex.EncodeToString(sum[:]) != header.Get(headerSum) {
		return nil, fmt.Errorf("%w: the pieces of an answer are not those that it names", ErrMalformed)
	}
	return ParseAnswer(whole)
}
