package api

import (
	"encoding/json"
	"time"
)

// JobState is how far a job has come.
type JobState string

// States of jobs. The last three are final.
const (
	// JobQueued: its turn is still to come.
	JobQueued JobState = "queued"
	// JobRunning: its tasks are being done.
	JobRunning JobState = "running"
	// JobDone: each of its tasks has a result or an error.
	JobDone JobState = "done"
	// JobCancelled: somebody cancelled it before.
	JobCancelled JobState = "cancelled"
	// JobFailed: something else ended it before, as its error says.
	JobFailed JobState = "failed"
)

// JobStates returns all states, in the order in which a job has them.
func JobStates() []JobState {
	return []JobState{JobQueued, JobRunning, JobDone, JobCancelled, JobFailed}
}

// Over reports whether a state is final.
func (s JobState) Over() bool { return s != JobQueued && s != JobRunning }

// Job is a job as it is.
type Job struct {
	ID          string    `json:"id" doc:"What the job is called; it cannot be guessed."`
	State       JobState  `json:"state" doc:"How far it has come."`
	Transform   string    `json:"transform" doc:"Which transform does its tasks."`
	Priority    string    `json:"priority" doc:"Whose turn comes first: normal, urgent or bulk." example:"normal"`
	Tasks       int       `json:"tasks" doc:"How many tasks it has."`
	Done        int       `json:"done" doc:"How many of them have a result or an error."`
	Failed      int       `json:"failed" doc:"How many of them have an error."`
	InputBytes  int64     `json:"input_bytes" doc:"The size of its input."`
	ResultBytes int64     `json:"result_bytes" doc:"The size of its results so far."`
	Created     time.Time `json:"created" doc:"When it was taken."`
	Started     time.Time `json:"started,omitzero" doc:"When its tasks began; left out before."`
	Ended       time.Time `json:"ended,omitzero" doc:"When it was over; left out before."`
	Expires     time.Time `json:"expires,omitzero" doc:"When it will be forgotten with its results; left out until it is over."`
	Error       *Error    `json:"error,omitempty" doc:"Why it was cancelled or failed as a whole; each task's own error is among the results."`
}

// Jobs is the answer of GET /v1/jobs.
type Jobs struct {
	Jobs []Job  `json:"jobs" doc:"The caller's jobs, the newest first."`
	Next string `json:"next,omitempty" doc:"The cursor with which the list goes on; left out at its end."`
}

// JobRequest is the body of POST /v1/jobs that is JSON: a job of one task.
type JobRequest struct {
	Transform string          `json:"transform" doc:"The transform that does the task."`
	Input     json.RawMessage `json:"input" doc:"The task's JSON."`
	Stream    string          `json:"stream,omitempty" doc:"The key of the task's stream; none without it." example:"session-1"`
	Priority  string          `json:"priority,omitempty" doc:"Whose turn comes first: normal, the default, urgent or bulk." example:"bulk"`
	Timeout   string          `json:"timeout,omitempty" doc:"How long the job may take from its start, such as 30s; without it as long as it likes." example:"30s"`
}
