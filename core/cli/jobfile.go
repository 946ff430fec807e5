package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/cronexpr"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/jobspec"
	"github.com/seraiproject/serai/core/model"
)

// jobFlags are the flags of commands that read a job file.
type jobFlags struct {
	json           *bool
	strict         *bool
	vars           *[]string
	varFiles       *[]string
	vaultNamespace *string
}

func (f *flags) job() *jobFlags {
	return &jobFlags{
		json:           f.flagBool("json", "The input is the JSON of the API, bare or under \"Job\".", false),
		strict:         f.flagBool("hcl2-strict", "Refuse values for variables that the file does not declare. Default: true.", true),
		vars:           f.flagStrings("var", "key=value", "A value for a variable of the job file. May be given several times."),
		varFiles:       f.flagStrings("var-file", "path", "A file of values for variables. May be given several times, later ones win."),
		vaultNamespace: f.flagString("vault-namespace", "name", "", "The Vault namespace the job is to use."),
	}
}

// jobFile is a job as read from a file.
type jobFile struct {
	path       string
	body       json.RawMessage
	submission *apiclient.Submission
	warnings   []string

	// What the command itself needs to know of the job.
	ID               model.JobID
	Namespace        string
	Region           string
	Type             string
	Periodic         *model.PeriodicConfig
	ParameterizedJob *model.ParameterizedJobConfig
}

// downloadTimeout bounds the download of a job file.
const downloadTimeout = time.Minute

// readJob reads and parses a job file: a path, "-" for standard input, or a URL.
// It reports trouble itself.
func (s *session) readJob(ctx context.Context, path string, f *jobFlags) (*jobFile, error) {
	src, err := s.jobSource(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("Error getting job struct: %w", err) //nolint:staticcheck // the text is a contract
	}
	varFiles, err := jobspec.ReadVarFiles(*f.varFiles...)
	if err != nil {
		return nil, fmt.Errorf("Error getting job struct: %w", err) //nolint:staticcheck // the text is a contract
	}
	o := jobspec.Options{Vars: *f.vars, VarFiles: varFiles, Strict: *f.strict, Env: s.deps.environ(), AllowFS: true}
	if *f.json {
		o.Format = jobspec.FormatJSON
	}
	name := path
	if path == "-" {
		name = "stdin"
	}
	doc, err := jobspec.Parse(name, src, o)
	if err != nil {
		return nil, fmt.Errorf("Error getting job struct: Error parsing job file from %s:\n%w", path, err) //nolint:staticcheck // the text is a contract
	}
	j := &jobFile{path: path, body: doc.JSON()}
	sub := doc.Submission()
	j.submission = &apiclient.Submission{Source: sub.Source, Format: sub.Format, VariableFlags: sub.VariableFlags, Variables: sub.Variables}
	for _, w := range doc.Warnings() {
		j.warnings = append(j.warnings, w.String())
	}
	for _, w := range jobspec.Inert(doc) {
		j.warnings = append(j.warnings, w.String())
	}
	if *f.vaultNamespace != "" {
		if j.body, err = setKey(j.body, "VaultNamespace", *f.vaultNamespace); err != nil {
			return nil, err
		}
	}
	if err := json.Unmarshal(j.body, j); err != nil {
		return nil, fmt.Errorf("Error getting job struct: %w", err) //nolint:staticcheck // the text is a contract
	}
	return j, nil
}

func setKey(body json.RawMessage, key, value string) (json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, err
	}
	b, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	m[key] = b
	return json.Marshal(m)
}

func isURL(path string) bool {
	return strings.HasPrefix(path, "http://") || strings.HasPrefix(path, "https://")
}

func (s *session) jobSource(ctx context.Context, path string) ([]byte, error) {
	switch {
	case path == "-":
		return io.ReadAll(s.deps.Stdin)
	case isURL(path):
		ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, path, nil)
		if err != nil {
			return nil, err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("download %s: %s", path, resp.Status)
		}
		return io.ReadAll(resp.Body)
	}
	return os.ReadFile(path)
}

// query is a query in the job's region and in the namespace asked for, or else
// the job's.
func (j *jobFile) query(s *session) *apiclient.Query {
	q := &apiclient.Query{Region: j.Region, Namespace: s.general.client.Namespace}
	if q.Namespace == "" {
		q.Namespace = j.Namespace
	}
	return q
}

// request renders the body of a registration.
func (j *jobFile) request() (string, error) {
	return jsonText(map[string]json.RawMessage{"Job": j.body})
}

// nextLaunch is when a periodic job starts next, zero if never.
func nextLaunch(p *model.PeriodicConfig, now time.Time) time.Time {
	if p == nil || !p.Enabled {
		return time.Time{}
	}
	zone := time.UTC
	if p.TimeZone != "" {
		if z, err := time.LoadLocation(p.TimeZone); err == nil {
			zone = z
		}
	}
	var next time.Time
	for _, spec := range append([]string{p.Spec}, p.Specs...) {
		if spec == "" {
			continue
		}
		e, err := cronexpr.Parse(spec)
		if err != nil {
			continue // the server has refused it, or soon will
		}
		if t := e.Next(now.In(zone)); next.IsZero() || !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	return next
}

// environ is the environment as the job file parser wants it. Only the
// process's own can be listed.
func (d Deps) environ() []string { return os.Environ() }
