package redis

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/resonhost/resonhost/internal/outage"
	"github.com/resonhost/resonhost/internal/wait"
	"github.com/resonhost/resonhost/state"
)

// Who opens a store takes an epoch, and says under the key of the owner who it is. That key ends with the
// lease. Whoever saves, does so in a script that compares the epoch first. So an owner that was stopped and
// wakes up cannot save once another has taken the store over, and one whose lease has ended goes on if
// nobody has.
//
// An epoch is a number, one more than the one before, and the token of its owner. The number alone comes
// twice where a server has lost the one before. What earlier builds have stored is a number alone.

// holder is what stands under the key of the owner.
type holder struct {
	state.Owner

	Token string `json:"token"`
	// Place is where PID is a process: the machine since its start, and the space of its process
	// numbers; empty if that is not known.
	Place string `json:"place,omitempty"`
}

// maxHolder is how much of what stands there is read.
const maxHolder = 1 << 10

func newHolder() holder {
	host, _ := os.Hostname()
	return holder{
		Owner: state.Owner{PID: os.Getpid(), Host: host, Since: time.Now().UTC().Truncate(time.Second)},
		Token: rand.Text(),
		Place: place(),
	}
}

// gone reports whether the holder's process has ended for sure.
func (h *holder) gone() bool {
	return h.Place != "" && h.Place == place() && h.PID > 0 && h.PID != os.Getpid() && !running(h.PID)
}

// Scripts. KEYS are the owner and the epoch, of save the records behind them.
//
// A server without memory refuses the first write of a script if it is a SET, and what follows a DEL it takes. So
// DEL comes first where the store does not grow: its owner can keep and empty it.
var (
	// acquire takes the store unless somebody has it but ARGV[1], the holder that is known to be
	// gone. ARGV[2] is the new holder, ARGV[3] the lease in milliseconds, and ARGV[4] the token of the new
	// epoch, which is the result.
	acquire = goredis.NewScript(`
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] then return {0, string.sub(held, 1, 1024)} end
local last = string.match(redis.call('GET', KEYS[2]) or '', '^%d+') or '0'
local epoch = string.format('%.0f %s', tonumber(last) + 1, ARGV[4])
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[2], epoch)
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return {1, epoch}`)

	// renew gives the owner of the epoch ARGV[1] its key for ARGV[3] milliseconds.
	renew = goredis.NewScript(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {0, string.sub(redis.call('GET', KEYS[1]) or '', 1, 1024)} end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return {1, ''}`)

	// release gives the store up.
	release = goredis.NewScript(`
if redis.call('GET', KEYS[2]) == ARGV[1] and redis.call('GET', KEYS[1]) == ARGV[2] then redis.call('DEL', KEYS[1]) end
return {1, ''}`)

	// save keeps ARGV[i-1] under KEYS[i] from the fourth key on, and deletes where that is empty.
	// ARGV[2] is the turn. KEYS[3] has an epoch and the last turn in it, if there was one after 0.
	// What a later turn has overtaken is refused with -1. Deletions alone begin with one of them. Those before a
	// record begin with the turn, so that a server without memory does not take the record.
	save = goredis.NewScript(`
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return {0, string.sub(redis.call('GET', KEYS[1]) or '', 1, 1024)} end
local epoch, turn = string.match(redis.call('GET', KEYS[3]) or '', '^(.+) (%d+)$')
if epoch ~= ARGV[1] then turn = '0' end
if tonumber(turn) > tonumber(ARGV[2]) then return {-1, ''} end
local deletes = #KEYS > 3
for i = 4, #KEYS do deletes = deletes and ARGV[i - 1] == '' end
if deletes then redis.call('DEL', KEYS[4]) end
if turn ~= ARGV[2] or not deletes and ARGV[3] == '' then redis.call('SET', KEYS[3], ARGV[1] .. ' ' .. ARGV[2]) end
local function keep(key, value)
  if value ~= '' then return redis.call('SET', key, value) end
  return redis.call('DEL', key)
end
for i = 4, #KEYS do keep(KEYS[i], ARGV[i - 1]) end
return {1, ''}`)
)

// overtaken is what save returns to a save of a turn before.
const overtaken = -1

// result is what a script returns: a number, and who has the store if that is 0. Of acquire it is the epoch
// if that is 1.
func result(cmd *goredis.Cmd) (n int64, text string, err error) {
	reply, err := cmd.Slice()
	if err != nil {
		return 0, "", err
	}
	if len(reply) == 2 {
		n, isNumber := reply[0].(int64)
		text, isText := reply[1].(string)
		if isNumber && isText {
			return n, text, nil
		}
	}
	return 0, "", fmt.Errorf("%w: a script has another result than its own", errReply)
}

// try takes the store, unless somebody has it but dead. Who only reads has nothing to take, and finds out whether somebody has it.
func (s *Store) try(ctx context.Context, dead string) (taken int64, held string, err error) {
	if !s.opt.ReadOnly {
		return result(acquire.Run(ctx, s.client, s.fence(), dead, s.meText, s.lease.Milliseconds(), s.me.Token))
	}
	held, err = s.client.Get(ctx, s.ownerKey()).Result()
	if errors.Is(err, goredis.Nil) || err == nil && held == dead {
		return 1, "", nil
	}
	return 0, held, err
}

// acquire takes the store. It waits for an owner that has gone: until its lease ends. One that
// renews its lease is an error at once.
func (s *Store) acquire(ctx context.Context) error {
	me, err := json.Marshal(s.me)
	if err != nil {
		return err
	}
	s.meText = string(me)
	dead, lastLeft, doing := "", time.Duration(-1), takes
	if s.opt.ReadOnly {
		doing = asks
	}
	for {
		taken, held, err := s.try(ctx, dead)
		if err != nil {
			return s.fault(ctx, doing, err)
		}
		if taken == 1 {
			s.epoch = held
			return nil
		}
		h := parseHolder(held)
		if held == s.meText || h.gone() { // the answer to itself was lost, and the client asked again
			dead = held
			continue
		}
		left, err := s.client.PTTL(ctx, s.ownerKey()).Result()
		if err != nil {
			return s.fault(ctx, doing, err)
		}
		if left == -1 || lastLeft >= 0 && left > lastLeft { // it has no end, or was renewed
			return &state.OwnerError{Where: s.shown, Owner: h.Owner, Err: state.ErrInUse}
		}
		lastLeft = left
		if err := wait.For(ctx, min(max(left, 0)+time.Millisecond, s.lease/10)); err != nil {
			return errors.Join(err, &state.OwnerError{Where: s.shown, Owner: h.Owner, Err: state.ErrInUse})
		}
	}
}

func parseHolder(text string) holder {
	var h holder
	if len(text) > maxHolder || json.Unmarshal([]byte(text), &h) != nil {
		return holder{}
	}
	return h
}

// keep renews the lease three times in its time, until the context ends or the store is lost.
func (s *Store) keep(ctx context.Context) {
	var away outage.Outage
	for n := 1; wait.For(ctx, s.lease/3) == nil; n++ {
		ok, held, err := result(renew.Run(ctx, s.client, s.fence(), s.epoch, s.meText, s.lease.Milliseconds()))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			if away.Begin() {
				s.opt.Logger.Warn("the lease of the store of states cannot be renewed", "store", s.shown, "error", s.fault(ctx, renews, err))
			}
			continue
		case ok == 0:
			s.opt.Logger.Error("the store of states is lost, and nothing more is saved", "store", s.shown, "error", s.lost(held))
			return
		}
		if lasted, ended := away.End(); ended {
			s.opt.Logger.Info("the lease of the store of states is renewed again", "store", s.shown, "outage", lasted)
		}
		if n%evictionEvery == 0 {
			s.watchEviction(ctx)
		}
	}
}

// lost has all further saves fail, and returns the error that they have.
func (s *Store) lost(held string) error {
	err := error(&state.OwnerError{Where: s.shown, Owner: parseHolder(held).Owner, Err: state.ErrLost})
	if held == "" || held == s.meText {
		err = fmt.Errorf("%s: %w: the server does not know this owner any more, as when it was emptied", s.shown, state.ErrLost)
	}
	s.lostErr.CompareAndSwap(nil, &err)
	return err
}
