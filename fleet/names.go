package fleet

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/resonhost/resonhost/state"
)

// names are what a fleet's streams and subjects are called. ARCHITECTURE.md has a table of them.
type names struct {
	tasks, results, dead string // streams

	prefix string // of subjects, with its dot
}

func newNames(fleet string) names {
	stream := "RESONHOST_" + fleet + "_"
	return names{
		tasks: stream + "TASKS", results: stream + "RESULTS", dead: stream + "DEAD",
		prefix: "resonhost." + fleet + ".",
	}
}

// hostsBucket is the last part of the name of the bucket of signs of life.
const hostsBucket = "HOSTS"

// bucketName is that of a bucket whose last part is given.
func (f *Fleet) bucketName(last string) string { return "RESONHOST_" + f.cfg.Fleet + "_" + last }

// task is the subject of frames of a partition.
func (n *names) task(partition int) string {
	if partition == noPartition {
		return n.prefix + "task.any"
	}
	return n.prefix + "task." + strconv.Itoa(partition)
}

// consumer is that of a partition.
func (n *names) consumer(partition int) string {
	if partition == noPartition {
		return "worker"
	}
	return "partition-" + strconv.Itoa(partition)
}

func (n *names) allTasks() string { return n.prefix + "task.*" }

// result is the subject of the answer to a frame, and piece that of a piece of it.
func (n *names) result(id ID) string { return n.prefix + "result." + id.String() }

func (n *names) piece(id ID, run string, number int) string {
	return n.prefix + "piece." + id.String() + "." + run + "." + strconv.Itoa(number)
}

// pieces is the subject of all pieces of a run, or of all runs with "*".
func (n *names) pieces(id ID, run string) string {
	return n.prefix + "piece." + id.String() + "." + run + ".*"
}

// runOf is the run in the subject of a piece of a frame.
func (n *names) runOf(id ID, subject string) string {
	run, _, _ := strings.Cut(strings.TrimPrefix(subject, n.prefix+"piece."+id.String()+"."), ".")
	return run
}

// owner is the subject of who has stored states of a partition last, and state that of a stream's state.
func (n *names) owner(partition int) string { return n.prefix + "owner." + strconv.Itoa(partition) }

func (n *names) state(partition int, key state.Key) string {
	return n.prefix + "state." + strconv.Itoa(partition) + "." + stateName(key)
}

// resultsOf is the subject of all answers of a submission.
func (n *names) resultsOf(submission string) string { return n.prefix + "result." + submission + ".*" }

// deadLetter is the subject of a dead letter.
func (n *names) deadLetter(id string) string { return n.prefix + "dead." + id }

// note is the subject of a note of why a host has left what may become a dead letter.
func (n *names) note(letter, delivery string) string {
	return n.prefix + "note." + letter + "." + delivery
}

// event is the subject of events of a kind, and of all with ">".
func (n *names) event(kind string) string { return n.prefix + "event." + kind }

// call is the subject of frames that are answered at once, or not at all.
func (n *names) call() string { return n.prefix + "call" }

// ID names a frame: the submission it is of, and its number in there. The same ID is the same frame, however often
// it comes.
type ID struct {
	Submission string // 1 to 64 letters, digits, _ and -
	Number     uint64
}

const maxSubmission = 64

var submissionName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// String returns SUBMISSION.NUMBER, which is a part of subjects.
func (id ID) String() string { return id.Submission + "." + strconv.FormatUint(id.Number, 10) }

// ParseID reads what [ID.String] has written, and nothing else.
func ParseID(text string) (id ID, ok bool) {
	submission, number, ok := strings.Cut(text, ".")
	n, err := strconv.ParseUint(number, 10, 64)
	id = ID{submission, n}
	return id, ok && err == nil && submissionName.MatchString(submission) && id.String() == text
}

// printable reports whether a text is UTF-8 without control characters.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}
