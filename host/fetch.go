package host

import (
	"context"
	"errors"
	"slices"

	"github.com/resonhost/resonhost/host/internal/module/contract"
)

// FetchRequest is an HTTP request that a plugin wants sent, see Config.Fetch.
type FetchRequest struct {
	Method, URL string
	// Header has 100 headers at most. Their bytes, those of URL and those of Method are 64 KiB at most
	// together.
	Header map[string]string
	// Body has MaxOutput bytes at most. It is a copy, and Fetch's to keep.
	Body []byte
	// AllowedHosts are patterns of names of hosts that the plugin may reach, as its companion file has
	// them, in lower case: 100 of 255 bytes each at most; none by default. They come with the plugin:
	// that one of them names a private host does not say that the operator wants it reached. In a
	// pattern * stands for any characters, ? for one, and [a-z] for one of those.
	AllowedHosts []string
	// MaxBytes is the longest body of a response that the plugin takes, in bytes.
	MaxBytes int64
}

// FetchResponse is the answer to a [FetchRequest].
type FetchResponse struct {
	Status int
	// Header has names in lower case. Values of one name are joined by commas.
	Header map[string]string
	Body   []byte
}

// errNoNetwork is of requests of a plugin without [GrantNetwork].
var errNoNetwork = errors.New("the plugin is not granted the network (its setting grant, PluginConfig.Grants)")

// fetching is Config.Fetch as kinds of guests call it; nil without one.
func fetching(fetch func(context.Context, FetchRequest) (FetchResponse, error), granted []Grant) func(context.Context, contract.FetchRequest) (contract.FetchResponse, error) {
	if fetch == nil {
		return nil
	}
	if !slices.Contains(granted, GrantNetwork) {
		return func(context.Context, contract.FetchRequest) (contract.FetchResponse, error) {
			return contract.FetchResponse{}, errNoNetwork
		}
	}
	return func(ctx context.Context, r contract.FetchRequest) (contract.FetchResponse, error) {
		got, err := fetch(ctx, FetchRequest(r))
		return contract.FetchResponse(got), err
	}
}
