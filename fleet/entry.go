package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/resonhost/resonhost/abi"
)

// maxEntry bounds an entry of a bucket, in bytes. Every server has room for it in a message.
const maxEntry = 60 << 10

// parseEntry reads an entry into v, and checks it. format is where v has the number of its form, newest the largest that is known.
func parseEntry(data []byte, v any, format *int, newest int, check func() error) error {
	if len(data) > maxEntry {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(data))
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if *format > newest {
		return fmt.Errorf("it has format %d, and this program reads %d: use a newer version of resonhost", *format, newest)
	}
	err := errors.Join(must(*format >= 1, "format", "must be positive"), check())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// must returns the error of a field for which a rule does not hold.
func must(holds bool, field, rule string) error {
	if holds {
		return nil
	}
	return &abi.FieldError{Field: field, Rule: rule}
}

// clip cuts a text to so many bytes.
func clip(text string, most int) string {
	return strings.ToValidUTF8(text[:min(len(text), most)], "")
}

// opened returns what get finds. If it is missing, create makes it, but with [Config.MustExist]. The error there is that another has
// made it meanwhile, maybe in another way.
func opened[T any](ctx context.Context, f *Fleet, missing, there error, get, create func(ctx context.Context) (T, error)) (x T, err error) {
	err = f.again(ctx, func(ctx context.Context) (err error) {
		if x, err = get(ctx); !errors.Is(err, missing) || f.cfg.MustExist {
			return err
		}
		if x, err = create(ctx); errors.Is(err, there) {
			x, err = get(ctx)
		}
		return err
	})
	return x, err
}
