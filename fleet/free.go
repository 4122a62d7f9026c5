package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/resonhost/resonhost/internal/wait"
)

// How often answers that were read are deleted, and after how long again when that has failed.
const (
	freeEvery = 250 * time.Millisecond
	freeAgain = 10 * time.Second
	freePoll  = 20 * time.Millisecond // while a submission is closed
)

// arrived is an answer, its place in the stream of results, and whether it came in pieces.
type arrived struct {
	Reply

	sequence uint64
	pieces   bool
}

// free deletes answers that were read. Nobody can ask for those of a submission without a key again, and they would take the room of others
// until they age.
func (s *Submission) free() {
	for pause := freeEvery; wait.For(s.ctx, pause) == nil; {
		pause = freeEvery
		if _, err := s.freeRead(s.ctx); err != nil && s.ctx.Err() == nil {
			pause = freeAgain
			s.client.fleet.log.Debug("answers that were read could not be deleted", "submission", s.name, "error", err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	for {
		left, err := s.freeRead(ctx)
		if err != nil {
			s.client.fleet.log.Debug("answers that were read stay until they age", "submission", s.name, "error", err)
			return
		}
		if left == 0 || wait.For(ctx, freePoll) != nil {
			return
		}
	}
}

// freeRead deletes answers that were read, as far as their frames are acknowledged: a frame that comes again is found done by its
// answer. It returns how many are left.
func (s *Submission) freeRead(ctx context.Context) (left int, err error) {
	s.mu.Lock()
	list := s.done
	s.mu.Unlock()
	if len(list) == 0 {
		return 0, nil
	}
	f := s.client.fleet
	tasks, err := f.tasks.Info(ctx)
	if err != nil {
		return len(list), err
	}
	n := 0
	for ; n < len(list); n++ {
		a := &list[n]
		if gone, err := s.acknowledged(ctx, a.Number, &tasks.State); err != nil {
			return len(list), err
		} else if !gone {
			break
		}
		if a.pieces {
			f.dropPieces(ctx, f.names.pieces(ID{s.name, a.Number}, "*"))
		}
	}
	if n == 0 {
		return len(list), nil
	}
	err = f.results.Purge(ctx, jetstream.WithPurgeSubject(f.names.resultsOf(s.name)), jetstream.WithPurgeSequence(list[n-1].sequence+1))
	if err != nil {
		return len(list), err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range list[:n] {
		delete(s.frames, list[i].Number)
		delete(s.before, list[i].Number)
	}
	s.done = s.done[n:]
	return len(s.done), nil
}

// acknowledged reports whether a frame, to which there is an answer, has left the stream of tasks.
func (s *Submission) acknowledged(ctx context.Context, number uint64, tasks *jetstream.StreamState) (bool, error) {
	s.mu.Lock()
	sequence, known := s.frames[number]
	last, looked := s.before[number]
	if !known && !looked { // the acknowledgement was lost: the frame was stored by now, and so has one of these places
		last = tasks.LastSeq
		s.before[number] = last
	}
	s.mu.Unlock()
	if !known {
		return last < tasks.FirstSeq, nil
	}
	if sequence < tasks.FirstSeq {
		return true, nil
	}
	_, err := s.client.fleet.tasks.GetMsg(ctx, sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return true, nil
	}
	return false, err
}
