package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/seraiproject/serai/pluginsdk/driver"
)

// CallError is an error that a plugin answered with.
type CallError struct {
	// Plugin and Op say who was asked for what.
	Plugin, Op string
	status     *status.Status
}

// Error gives the plugin's own text, without the transport's decoration.
func (e *CallError) Error() string {
	return fmt.Sprintf("plugin %s: %s: %s", e.Plugin, e.Op, e.status.Message())
}

// GRPCStatus keeps the code and the details, so that driver.IsRetryable works.
func (e *CallError) GRPCStatus() *status.Status { return e.status }

// Is recognises the sentinels whose identity the wire does not carry.
func (e *CallError) Is(target error) bool {
	return target == driver.ErrTaskNotFound && driver.IsTaskNotFound(errors.New(e.status.Message()))
}

// callError turns the error of a unary call into ours. A connection that breaks usually means that the process
// has ended, of which the proof may come a moment later.
func (p *Plugin) callError(ctx context.Context, op string, err error) error {
	return p.wrapError(ctx, op, err, codes.Unavailable)
}

// streamError is callError for streams, which also see the end of a process as a cancellation.
func (p *Plugin) streamError(ctx context.Context, op string, err error) error {
	return p.wrapError(ctx, op, err, codes.Unavailable, codes.Canceled)
}

func (p *Plugin) wrapError(ctx context.Context, op string, err error, broken ...codes.Code) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("plugin %s: %s: %w", p.info.Name, op, ctx.Err())
	}
	st, _ := status.FromError(err)
	for _, c := range broken {
		if st.Code() != c {
			continue
		}
		timer := time.NewTimer(exitConfirm)
		defer timer.Stop()
		select {
		case <-p.proc.exited:
			return fmt.Errorf("plugin %s: %s: %w", p.info.Name, op, ErrShutdown)
		case <-ctx.Done():
			return fmt.Errorf("plugin %s: %s: %w", p.info.Name, op, ctx.Err())
		case <-timer.C:
		}
	}
	return &CallError{Plugin: p.info.Name, Op: op, status: st}
}
