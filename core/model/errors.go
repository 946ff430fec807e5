package model

import (
	"errors"
	"fmt"
	"strings"
)

// The classes of error. Every error that a caller may want to tell apart wraps
// one of them; match with errors.Is. They keep their class across calls
// between agents and decide the HTTP status (see core/rpc and core/httpapi).
var (
	ErrNotFound    = errors.New("not found")
	ErrInvalid     = errors.New("invalid")
	ErrConflict    = errors.New("conflict")
	ErrDenied      = errors.New("permission denied")
	ErrUnavailable = errors.New("unavailable")
	ErrNoLeader    = errors.New("No cluster leader")
	ErrNoRegion    = errors.New("No path to region")
	ErrStale       = errors.New("stale")
	ErrExhausted   = errors.New("resources exhausted")
	ErrUnsupported = errors.New("unsupported")
	ErrUnknownNode = errors.New("Unknown node")
)

// classes gives each error class its stable code, as sent between agents and
// in API errors. Codes never change.
var classes = []struct {
	code string
	err  error
}{
	{"not_found", ErrNotFound},
	{"invalid", ErrInvalid},
	{"conflict", ErrConflict},
	{"denied", ErrDenied},
	{"unavailable", ErrUnavailable},
	{"no_leader", ErrNoLeader},
	{"no_region", ErrNoRegion},
	{"stale", ErrStale},
	{"exhausted", ErrExhausted},
	{"unsupported", ErrUnsupported},
	{"unknown_node", ErrUnknownNode},
}

// CodeInternal is the code of an error that has no class.
const CodeInternal = "internal"

// ErrorCode returns the stable code of err's class.
func ErrorCode(err error) string {
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return CodeInternal
}

// ErrorFromCode rebuilds an error from its code and text, so that errors.Is
// works on the far side of a call.
func ErrorFromCode(code, text string) error {
	for _, c := range classes {
		if c.code == code {
			if text == "" || text == c.err.Error() {
				return c.err
			}
			return &classified{class: c.err, text: text}
		}
	}
	return errors.New(text)
}

// Errorf returns an error of the given class with a text of its own.
func Errorf(class error, format string, args ...any) error {
	wrapped := fmt.Errorf(format, args...)
	return &classified{class: class, text: wrapped.Error(), cause: errors.Unwrap(wrapped)}
}

type classified struct {
	class error
	text  string
	cause error
}

func (e *classified) Error() string { return e.text }

func (e *classified) Unwrap() []error {
	if e.cause != nil {
		return []error{e.class, e.cause}
	}
	return []error{e.class}
}

// A FieldError is one fault of a document, with the path of the field.
type FieldError struct {
	Path string // such as `group "web" / task "app" / driver`; may be empty
	Text string
}

func (e FieldError) Error() string {
	if e.Path == "" {
		return e.Text
	}
	return e.Path + ": " + e.Text
}

// FieldErrors are all faults of a document. As an error it is of class
// ErrInvalid.
type FieldErrors []FieldError

// Addf appends a fault.
func (e *FieldErrors) Addf(path, format string, args ...any) {
	*e = append(*e, FieldError{Path: path, Text: fmt.Sprintf(format, args...)})
}

// Err returns nil when there is no fault.
func (e FieldErrors) Err() error {
	if len(e) == 0 {
		return nil
	}
	return e
}

func (e FieldErrors) Error() string {
	if len(e) == 1 {
		return "1 error occurred:\n\t* " + e[0].Error() + "\n\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d errors occurred:\n", len(e))
	for _, f := range e {
		b.WriteString("\t* ")
		b.WriteString(f.Error())
		b.WriteString("\n")
	}
	b.WriteString("\n")
	return b.String()
}

// Is makes errors.Is(err, ErrInvalid) true.
func (e FieldErrors) Is(target error) bool { return target == ErrInvalid }
