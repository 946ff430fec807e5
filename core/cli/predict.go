package cli

import (
	"context"
	"io"
	"time"

	"github.com/posener/complete"
)

// predictTimeout bounds how long a completion waits for the agent.
const predictTimeout = 2 * time.Second

// predict makes a predictor that asks the agent. Trouble predicts nothing.
func (s *session) predict(ask func(ctx context.Context, prefix string) []string) complete.Predictor {
	return complete.PredictFunc(func(a complete.Args) []string {
		s.deps.Stderr = io.Discard
		if _, ok := s.connect(); !ok {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), predictTimeout)
		defer cancel()
		return ask(ctx, a.Last)
	})
}
