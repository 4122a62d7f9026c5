package manifest

import (
	"github.com/resonhost/resonhost/abi"
	"github.com/resonhost/resonhost/internal/strictjson"
)

// SelfTest is a task whose answer is known to the last bit.
type SelfTest struct {
	Name      string `json:"name"`
	Transform string `json:"transform"`
	// Input and State are the task.
	Input Content `json:"input"`
	State Content `json:"state,omitempty"`
	// Status is the expected status and Output the expected payload; a payload
	// is not compared where the status is not ok.
	Status abi.Status `json:"status,omitempty"`
	Output Content    `json:"output,omitempty"`
	// Error says Status by the word that the tests beside a plugin have for it: invalid_argument
	// or failed. Once a document is parsed, Status has it, and Error is "".
	Error string `json:"error,omitempty"`
}

// ParseSelfTest decodes one self-test. What is wrong with a member is an [*abi.FieldError].
func ParseSelfTest(doc []byte) (SelfTest, error) {
	var t SelfTest
	if err := strictjson.Unmarshal(doc, &t); err != nil {
		return SelfTest{}, err
	}
	if err := t.settle(); err != nil {
		return SelfTest{}, err
	}
	return t, nil
}

// settle makes Status of Error. It returns what is wrong with either.
func (t *SelfTest) settle() *abi.FieldError {
	said := t.Status
	switch t.Error {
	case "":
	case "invalid_argument":
		said = abi.StatusInvalidArgument
	case "failed":
		said = abi.StatusFailed
	default:
		return &abi.FieldError{Field: "error", Rule: "must be invalid_argument or failed; other kinds of errors are for NAME.test.ndjson"}
	}
	switch {
	case !t.Status.Valid():
		return &abi.FieldError{Field: "status", Rule: "must be 0, 1 or 2"}
	case t.Status != abi.StatusOK && t.Status != said:
		return &abi.FieldError{Field: "status", Rule: "must not differ from error, which says the same"}
	}
	t.Status, t.Error = said, ""
	return nil
}
