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
	ID        string   `json:"id"`
	State     JobState `json:"state"`
	Transform string   `json:"transform"`
	// Priority is normal, urgent or bulk.
	Priority string `json:"priority"`
	// Tasks is how many tasks it has, Done how many of them have a result or an error, and Failed
	// how many of those have an error.
	Tasks  int `json:"tasks"`
	Done   int `json:"done"`
	Failed int `json:"failed"`
	// InputBytes is the size of its input, and ResultBytes that of its results so far.
	InputBytes  int64 `json:"input_bytes"`
	ResultBytes int64 `json:"result_bytes"`
	// Created is when it was taken, Started when its tasks began, and Ended when it was over.
	Created time.Time `json:"created"`
	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
	// Expires is when it will be forgotten, with its results.
	Expires time.Time `json:"expires,omitzero"`
	// Error is why it was cancelled or failed.
	Error *Error `json:"error,omitempty"`
}

// Jobs is the answer of GET /v1/jobs.
type Jobs struct {
	// Jobs are the caller's, the newest first.
	Jobs []Job `json:"jobs"`
	// Next is the cursor with which the list goes on; none if this is its end.
	Next string `json:"next,omitempty"`
}

// JobRequest is the body of POST /v1/jobs that is JSON: a job of one task.
type JobRequest struct {
	Transform string `json:"transform"`
	// Input is the task's JSON.
	Input json.RawMessage `json:"input"`
	// Stream is the key of the task's stream; none without it.
	Stream string `json:"stream,omitempty"`
	// Priority is normal, the default, urgent or bulk.
	Priority string `json:"priority,omitempty"`
	// Timeout is how long the job may take from its start, such as 30s; default as long as it likes.
	Timeout string `json:"timeout,omitempty"`
}
