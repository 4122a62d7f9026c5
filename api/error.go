// Package api has what crosses HTTP and JSON lines in JSON: one shape of errors, and for each
// kind of error its HTTP status, its exit code, and what to do.
//
// The tag doc of a member says what it is. The OpenAPI document of a server has the same words.
package api

import (
	"errors"

	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/host"
)

// MediaTypeProblem is the media type of an [Error] that is a whole answer of HTTP.
const MediaTypeProblem = "application/problem+json"

// Error is what every error looks like in JSON: as an answer of HTTP, as a line, and in the
// reports of resonhost dev. It is a problem document of RFC 9457. Its type is left out, which
// stands for about:blank; the member kind tells problems apart.
type Error struct {
	Title     string    `json:"title,omitzero" doc:"The phrase of the status; left out of what is no whole answer."`
	Status    int       `json:"status" doc:"The status of HTTP. A line has the one that a single task would have had."`
	Detail    string    `json:"detail" doc:"What happened. Of invalid_argument and failed it may be the plugin's own text, bounded and not to be trusted."`
	Kind      host.Kind `json:"kind" doc:"By which programs tell errors apart." example:"queue_full"`
	Field     string    `json:"field,omitzero" doc:"The argument that is at fault, where that is known."`
	Transform string    `json:"transform,omitzero" doc:"Which transform was to do the task."`
	Plugin    string    `json:"plugin,omitzero" doc:"Which plugin was to do it, or was to be changed."`
	Version   string    `json:"version,omitzero" doc:"Which version of the plugin was to do it."`
	Step      host.Step `json:"step,omitzero" doc:"At which step of its deployment a version was refused; left out of other errors."`
	Line      int       `json:"line,omitzero" doc:"The number of the line in the input, from 1; left out of what is no line."`
}

// Failure is the line that answers a task that failed.
type Failure struct {
	Error Error `json:"error" doc:"Why the task failed."`
}

// New returns the error of a kind, with the status that the kind has.
func New(kind host.Kind, detail string) Error {
	return Error{Status: RuleOf(kind).Status, Kind: kind, Detail: detail}
}

// Failed returns the error of a task as a host has errors. An error that is no [host.Error] is a
// codec's, which is an invalid argument. It is the one place that says so: all that tell, count or
// send the errors of tasks ask it.
func Failed(transform string, err error) *host.Error {
	if task := (*host.Error)(nil); errors.As(err, &task) {
		return task
	}
	return &host.Error{Kind: host.KindInvalidArgument, Transform: transform, Message: err.Error(), Err: err}
}

// Of describes the error of a task, as [Failed] has it.
func Of(transform string, err error) Error {
	task := Failed(transform, err)
	e := New(task.Kind, task.Message)
	e.Transform, e.Plugin, e.Version = transform, task.Plugin, task.Version
	if field := (*abi.FieldError)(nil); e.Kind == host.KindInvalidArgument && errors.As(err, &field) {
		e.Field = field.Field
	}
	return e
}

// Refused describes why a version of a plugin does not serve.
func Refused(err error) Error {
	e := New(KindRefused, err.Error())
	if load := (*host.LoadError)(nil); errors.As(err, &load) {
		e.Plugin, e.Step = load.Source, load.Step
	}
	return e
}

// At returns the error as that of a line, which is numbered from 1.
func (e Error) At(line int) Error {
	e.Line = line
	return e
}
