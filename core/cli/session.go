package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

// session is one run of one command.
type session struct {
	deps    Deps
	leaf    *leaf
	flags   *flags
	general general
	args    []string
	color   bool

	api   *apiclient.Client // made by connect
	stdin *bufio.Reader     // made by confirm
}

// printf prints to standard output.
func (s *session) printf(format string, args ...any) { fmt.Fprintf(s.deps.Stdout, format, args...) }

// println prints a line to standard output.
func (s *session) println(text string) { fmt.Fprintln(s.deps.Stdout, text) }

// fail prints a line to standard error and returns exit code 1.
func (s *session) fail(format string, args ...any) int {
	fmt.Fprintln(s.deps.Stderr, s.paint(red, fmt.Sprintf(format, args...)))
	return exitError
}

// title prints the bold heading of a section, after a blank line.
func (s *session) title(text string) { s.printf("\n%s\n", s.paint(bold, text)) }

func (s *session) now() time.Time { return s.deps.Now() }

// connect makes the API client. It reports trouble itself.
func (s *session) connect() (*apiclient.Client, bool) {
	if s.api == nil {
		c, err := apiclient.New(s.general.client)
		if err != nil {
			s.fail("Error initializing client: %v", err)
			return nil, false
		}
		s.api = c
	}
	return s.api, true
}

// render prints one answer as -json or -t asks.
func (s *session) render(o *output, value any) int {
	if *o.json && *o.template != "" {
		return s.fail("Both json and template formatting are not allowed")
	}
	if *o.template != "" {
		return s.renderTemplate(*o.template, value)
	}
	text, err := jsonText(value)
	if err != nil {
		return s.fail("Error formatting the data: %v", err)
	}
	s.println(text)
	return exitOK
}

func (s *session) renderTemplate(text string, value any) int {
	t, err := template.New("template").Parse(text)
	if err != nil {
		return s.fail("Error formatting the data: %v", err)
	}
	var b strings.Builder
	if err := t.Execute(&b, value); err != nil {
		return s.fail("Error formatting the data: %v", err)
	}
	s.println(b.String())
	return exitOK
}

// jsonText renders a value as the API would: keys in order, four spaces,
// nothing escaped for HTML, zero times as null.
func jsonText(value any) (string, error) {
	raw, ok := value.(json.RawMessage)
	if !ok {
		b, err := json.Marshal(value)
		if err != nil {
			return "", err
		}
		raw = b
	}
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return "", err
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "    ")
	if err := enc.Encode(nullTimes(tree)); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// nullTimes replaces the zero time, which Go writes as the year one.
func nullTimes(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = nullTimes(e)
		}
	case []any:
		for i, e := range v {
			v[i] = nullTimes(e)
		}
	case string:
		if v == "0001-01-01T00:00:00Z" {
			return nil
		}
	}
	return v
}

// fetch reads path as the API gives it, for -json.
func fetch(ctx context.Context, c *apiclient.Client, path string, q *apiclient.Query) (json.RawMessage, error) {
	var raw json.RawMessage
	_, err := c.Do(ctx, "GET", path, q, nil, &raw)
	return raw, err
}

// renderPath reads path and renders it: JSON as the API gave it, a template over
// value's type.
func (s *session) renderPath(ctx context.Context, o *output, path string, q *apiclient.Query, value any) int {
	if *o.json && *o.template != "" {
		return s.fail("Both json and template formatting are not allowed")
	}
	raw, err := fetch(ctx, s.api, path, q)
	if err != nil {
		return s.fail("Error reading %s: %v", path, err)
	}
	if *o.json {
		return s.render(o, raw)
	}
	if err := json.Unmarshal(raw, value); err != nil {
		return s.fail("Error formatting the data: %v", err)
	}
	return s.renderTemplate(*o.template, value)
}

// confirm asks a yes-or-no question on standard output.
func (s *session) confirm(question string) (bool, error) {
	if s.stdin == nil {
		s.stdin = bufio.NewReader(s.deps.Stdin)
	}
	for {
		s.printf("%s [y/N] ", question)
		line, err := s.stdin.ReadString('\n')
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return true, nil
		case "n", "no", "":
			if err != nil && line == "" {
				return false, errors.New("no answer: standard input is at its end; use -yes")
			}
			return false, nil
		}
		if err != nil {
			return false, err
		}
		s.printf("Please answer y or n.\n")
	}
}

// idLength is how much of an ID is shown.
func idLength(verbose bool) int {
	if verbose {
		return 36
	}
	return 8
}

// short cuts an ID.
func short[T ~string](id T, length int) string {
	if len(id) > length {
		return string(id[:length])
	}
	return string(id)
}

func (s *session) allNamespaces() bool { return s.general.client.Namespace == model.AllNamespaces }
