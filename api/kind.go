package api

import (
	"net/http"

	"github.com/resonhost/resonhost/host"
)

// Kinds of a server's own, beside those of package host.
const (
	// KindNotFound: there is nothing at the path.
	KindNotFound host.Kind = "not_found"
	// KindMethodNotAllowed: the path has another method.
	KindMethodNotAllowed host.Kind = "method_not_allowed"
	// KindUnsupportedMediaType: the body has a form that the transform does not take.
	KindUnsupportedMediaType host.Kind = "unsupported_media_type"
	// KindUnknownPlugin: there is no plugin of the name.
	KindUnknownPlugin host.Kind = "unknown_plugin"
	// KindUnknownJob: there is no job of that ID, or it is another's.
	KindUnknownJob host.Kind = "unknown_job"
	// KindRefused: a plugin's new version does not serve.
	KindRefused host.Kind = "refused"
	// KindConflict: the plugin is not in a state in which that can be done.
	KindConflict host.Kind = "conflict"
	// KindKeyInUse: the first request with an Idempotency-Key is still under way.
	KindKeyInUse host.Kind = "key_in_use"
	// KindKeyReused: another request has had the Idempotency-Key.
	KindKeyReused host.Kind = "key_reused"
	// KindCrossOrigin: a browser sent the request for a page of another origin.
	KindCrossOrigin host.Kind = "cross_origin"
	// KindForeignHost: the request's Host header names another machine.
	KindForeignHost host.Kind = "foreign_host"
	// KindUnauthorized: the request does not show who sent it, or not in a way that holds.
	KindUnauthorized host.Kind = "unauthorized"
	// KindForbidden: who sent the request may not do that.
	KindForbidden host.Kind = "forbidden"
	// KindRateLimited: who sent the request may not do that so often.
	KindRateLimited host.Kind = "rate_limited"
)

// Exit codes of the command.
const (
	// ExitOK: all went well.
	ExitOK = 0
	// ExitFailed: a line of input failed, a write, or anything that has no code of its own.
	ExitFailed = 1
	// ExitUsage: the command cannot do what it was told to.
	ExitUsage = 2
	// ExitPlugins: a plugin cannot serve, or a host refused its new version.
	ExitPlugins = 3
	// ExitMismatch: an interpreter answers a task of call --verify sample:N differently.
	ExitMismatch = 4
	// ExitInterrupted: a signal came.
	ExitInterrupted = 130
	// ExitUnread: whoever read the standard output has closed it. A shell gives this code to a program that SIGPIPE ends.
	ExitUnread = 141
)

// StatusClientClosed is what others too have metrics and logs show for a client that went before
// its answer came. It hardly reaches anybody.
const StatusClientClosed = 499

// Rule is what holds for one kind of error.
type Rule struct {
	Kind host.Kind
	// Status is its HTTP status, and Exit the exit code of a command that ends for it.
	Status, Exit int
	// Do says what to do, as docs/reference/errors.md does.
	Do string
}

var rules = []Rule{
	{host.KindInvalidArgument, http.StatusBadRequest, ExitFailed, "Mend what field or detail names. The same call fails again."},
	{host.KindUnknownTransform, http.StatusNotFound, ExitUsage, "Check the name. GET /v1/plugins lists the transforms."},
	{host.KindQueueFull, http.StatusTooManyRequests, ExitFailed, "Send fewer tasks at once, and this one again after Retry-After. Or raise the limit that the message names, or --workers."},
	{host.KindTimeout, http.StatusGatewayTimeout, ExitFailed, "Give the task more time (--run-timeout, --queue-timeout, the caller's deadline), or less work. Or add workers."},
	{host.KindCancelled, http.StatusServiceUnavailable, ExitFailed, "Send the task again if its result is still wanted."},
	{host.KindFailed, http.StatusUnprocessableEntity, ExitFailed, "Read the message: the transform says why. Tell the plugin's author of one that begins with panic:."},
	{host.KindTrap, http.StatusBadGateway, ExitFailed, "Tell the plugin's author. The log has the guest's stack."},
	{host.KindExit, http.StatusBadGateway, ExitFailed, "Tell the plugin's author. The message has the guest's last words."},
	{host.KindOutOfMemory, http.StatusBadGateway, ExitFailed, "Raise the limit that the message names, or send less."},
	{host.KindOutOfFuel, http.StatusGatewayTimeout, ExitFailed, "Raise --max-fuel, or send less at a time."},
	{host.KindABI, http.StatusBadGateway, ExitFailed, "Tell the plugin's author."},
	{host.KindMemoryFull, http.StatusServiceUnavailable, ExitFailed, "Send the task again after Retry-After, or elsewhere. If that goes on, raise --memory-budget, or lower --max-instances."},
	{host.KindUnavailable, http.StatusServiceUnavailable, ExitFailed, "Send the task again after Retry-After, or elsewhere."},
	{host.KindStateUnavailable, http.StatusServiceUnavailable, ExitFailed, "Send the task again after Retry-After. If that goes on, see that the store of states can be reached; the host's log says what fails."},
	{host.KindStateUnreadable, http.StatusInternalServerError, ExitFailed, "Read the host's log: it names the record. Restore it, or have it deleted for the stream to begin anew."},
	{host.KindHost, http.StatusInternalServerError, ExitFailed, "Read the host's log."},
	{KindNotFound, http.StatusNotFound, ExitFailed, "Check the path. GET / lists what there is."},
	{KindMethodNotAllowed, http.StatusMethodNotAllowed, ExitFailed, "Use a method of the Allow header."},
	{KindUnsupportedMediaType, http.StatusUnsupportedMediaType, ExitFailed, "Send a media type of the Accept header."},
	{KindUnknownPlugin, http.StatusNotFound, ExitFailed, "Check the name. GET /v1/plugins lists the plugins."},
	{KindUnknownJob, http.StatusNotFound, ExitFailed, "Check the ID. A job is forgotten some time after its end, and another caller's is not shown."},
	{KindRefused, http.StatusUnprocessableEntity, ExitPlugins, "Read the message: it names the step at which the version failed."},
	{KindConflict, http.StatusConflict, ExitFailed, "Read the message: it says what is missing."},
	{KindKeyInUse, http.StatusConflict, ExitFailed, "Send the request again after Retry-After, with the same key."},
	{KindKeyReused, http.StatusUnprocessableEntity, ExitFailed, "Send each request with a key of its own, and the same key only with the same request."},
	{KindCrossOrigin, http.StatusForbidden, ExitFailed, "Call from the service's own origin, or from no browser."},
	{KindUnauthorized, http.StatusUnauthorized, ExitFailed, "Send Authorization: Bearer TOKEN, or a client certificate. With the command: --token-file or RESONHOST_TOKEN."},
	{KindForbidden, http.StatusForbidden, ExitFailed, "Use a token whose line in the file of --tokens allows it, or have that line changed."},
	{KindRateLimited, http.StatusTooManyRequests, ExitFailed, "Send this again after Retry-After, and less often. Or have rate raised in the token's line."},
	{KindForeignHost, http.StatusMisdirectedRequest, ExitFailed, "Name the loopback interface in the Host header, such as localhost."},
}

// Rules returns what holds for every kind of error, in the order of the reference.
func Rules() []Rule { return append([]Rule(nil), rules...) }

// RuleOf returns what holds for a kind. A kind that there is not counts as [host.KindHost].
func RuleOf(kind host.Kind) Rule {
	other := Rule{}
	for _, r := range rules {
		switch r.Kind {
		case kind:
			return r
		case host.KindHost:
			other = r
		}
	}
	return other
}
