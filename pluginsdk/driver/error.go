package driver

import (
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seraiproject/serai/pluginsdk/proto/structspb"
)

// Errors whose texts other hosts and plugins know.
var (
	// ErrTaskNotFound says that no task of this id lives here. On the wire only its text is left.
	ErrTaskNotFound = errors.New("task not found for given id")
	// ErrNotSupported says that the driver lacks the ability asked for.
	ErrNotSupported = errors.New("driver does not support this operation")
)

type retryable struct{ error }

func (e retryable) Unwrap() error { return e.error }

// Retryable marks an error of Start as one that may pass: the host tries again under the task's restart
// policy. Retryable(nil) is nil.
func Retryable(err error) error {
	if err == nil {
		return nil
	}
	return retryable{err}
}

// IsRetryable says whether trying again may help. It knows errors made by Retryable and errors received from
// a plugin.
func IsRetryable(err error) bool {
	if r := (retryable{}); errors.As(err, &r) {
		return true
	}
	st, ok := status.FromError(err)
	if !ok || st.Code() != codes.FailedPrecondition {
		return false
	}
	for _, d := range st.Details() {
		if r, ok := d.(*structspb.RecoverableError); ok {
			return r.GetRecoverable()
		}
	}
	return false
}

// IsTaskNotFound says whether an error, ours or one received from a plugin, means ErrTaskNotFound.
func IsTaskNotFound(err error) bool {
	return err != nil && (errors.Is(err, ErrTaskNotFound) || strings.Contains(err.Error(), ErrTaskNotFound.Error()))
}

// wireStartError gives an error of Start the status that hosts look at.
func wireStartError(err error) error {
	st := status.New(codes.FailedPrecondition, err.Error())
	with, derr := st.WithDetails(&structspb.RecoverableError{Recoverable: IsRetryable(err)})
	if derr != nil {
		return st.Err()
	}
	return with.Err()
}
