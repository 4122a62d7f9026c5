package abi

import "strconv"

// Status says how one item of a frame fared.
type Status uint32

// Statuses of a [Result].
const (
	// StatusOK: the payload is the transform's output.
	StatusOK Status = 0
	// StatusInvalidArgument: the item was refused; the payload is a UTF-8
	// message that names the field and the rule it breaks.
	StatusInvalidArgument Status = 1
	// StatusFailed: the transform could not do its work; the payload is a UTF-8
	// message.
	StatusFailed Status = 2
)

// Valid reports whether s is one of the statuses above.
func (s Status) Valid() bool { return s <= StatusFailed }

func (s Status) String() string {
	switch s {
	case StatusOK:
		return "ok"
	case StatusInvalidArgument:
		return "invalid argument"
	case StatusFailed:
		return "failed"
	}
	return "status(" + strconv.FormatUint(uint64(s), 10) + ")"
}

// FieldError is an argument that breaks a rule. A transform that returns one
// gives its item [StatusInvalidArgument]; its caller gets the text alone, "Field: Rule".
type FieldError struct {
	// Field is the path of the argument, such as nodes[3].frequency.
	Field string
	// Rule is what the argument must hold, such as "must be finite".
	Rule string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Rule }
