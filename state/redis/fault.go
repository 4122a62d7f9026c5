package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/resonhost/resonhost/state"
)

// replies says what the first word of a server's error stands for.
var replies = map[string]error{
	"OOM":      state.ErrFull,
	"READONLY": state.ErrReadOnly,
	"MISCONF":  state.ErrReadOnly, // it cannot save to its disk
	"NOPERM":   state.ErrReadOnly,
}

// classify gives an error what was done, and the sentinel by which callers know it. What is none of
// the server's own errors, nor of the context, is a server that cannot be reached or does not answer
// as Redis does.
func classify(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", what, ctx.Err())
	}
	sentinel := state.ErrUnavailable
	if reply := goredis.Error(nil); errors.As(err, &reply) {
		word, _, _ := strings.Cut(reply.Error(), " ")
		if s, ok := replies[word]; ok {
			sentinel = s
		} else if strings.Contains(reply.Error(), "can't run this command") { // of a script's user
			sentinel = state.ErrReadOnly
		}
	}
	return fmt.Errorf("%s: %w: %w", what, sentinel, err)
}
