package cli

import (
	"io"
	"net/http"
	"os"
	"strings"
)

func operatorAPI() *leaf {
	return &leaf{
		words: "operator api", synopsis: "Make a request to the HTTP API",
		args: "[options] <path>", minArgs: 1, maxArgs: 1, wants: "one argument: <path>",
		prose: `Makes any request to the HTTP API and prints the body of the answer. Without -X it reads, or writes if there is something on standard input.`,
		setup: func(f *flags) func(*session) int {
			method := f.flagString("X", "method", "", "The method of the request.")
			headers := f.flagStrings("H", "header", "A header of the request, as in 'Name: value'. May be given several times.")
			filter := f.flagString("filter", "expression", "", "Show only what matches.")
			return func(s *session) int {
				c, ok := s.connect()
				if !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				path := s.args[0]
				if !strings.HasPrefix(path, "/") {
					path = "/v1/" + path
				}
				var body io.Reader
				if file, ok := s.deps.Stdin.(*os.File); !ok || piped(file) {
					body = s.deps.Stdin
				}
				if *method == "" {
					*method = http.MethodGet
					if body != nil {
						*method = http.MethodPost
					}
				}
				if *method == http.MethodGet {
					body = nil
				}
				answer, err := c.Open(ctx, *method, path, *filter, *headers, body)
				if err != nil {
					return s.fail("Error querying the API: %v", err)
				}
				defer answer.Close()
				if _, err := io.Copy(s.deps.Stdout, answer); err != nil {
					return s.fail("Error reading the answer: %v", err)
				}
				return exitOK
			}
		},
	}
}

// piped reports whether there is something to read that is not typed in.
func piped(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice == 0 && (info.Mode()&os.ModeNamedPipe != 0 || info.Size() > 0)
}
