package jobspec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// A Format is the language of a job file.
type Format uint8

const (
	// FormatAuto tells by the content: the JSON of the HTTP API if it is JSON
	// with an API job in it, the JSON form of HCL if it is other JSON, else HCL.
	FormatAuto Format = iota
	// FormatHCL is HCL2 or its JSON form.
	FormatHCL
	// FormatJSON is the JSON of the HTTP API, bare or under "Job".
	FormatJSON
)

// Options say how to read a job file.
type Options struct {
	Format Format

	// Vars are values for variables, as name=value; later ones win, and all
	// of them win over files. An entry without "=" is ignored.
	Vars []string
	// VarFiles are files of values, later ones winning.
	VarFiles []VarFile
	// Env is an environment (os.Environ()) whose NOMAD_VAR_ entries are the
	// weakest values.
	Env []string
	// Strict refuses values for variables that are not declared.
	Strict bool

	// AllowFS permits functions that read files. They resolve relative paths
	// against BaseDir, or the working directory if that is empty.
	AllowFS bool
	BaseDir string
}

// A Document is a parsed job file. It is not changed after Parse, and may be
// used from several goroutines.
type Document struct {
	job        map[string]any
	warnings   Diagnostics
	submission Submission
}

// A Submission is what is kept of a job file beside the job itself.
type Submission struct {
	Source        string
	Format        string            // hcl2 or json
	VariableFlags map[string]string // from the environment and -var
	Variables     string            // the text of the variable files
}

// JSON is the job: the value of "Job" in a registration.
func (doc *Document) JSON() []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(doc.job); err != nil {
		// The document holds only strings, finite numbers, booleans, lists
		// and maps: all of them can be written.
		panic(fmt.Sprintf("jobspec: encode job: %v", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// ID is the job's ID.
func (doc *Document) ID() string {
	id, _ := doc.job["ID"].(string)
	return id
}

// Warnings are remarks about an accepted file: what is deprecated, has no
// effect or hides something else.
func (doc *Document) Warnings() Diagnostics { return doc.warnings }

// Submission is the source of the job.
func (doc *Document) Submission() Submission { return doc.submission }

// Parse reads a job file. The error, if any, is a Diagnostics with all faults.
// The name of the file is only used in messages.
func Parse(filename string, src []byte, opts Options) (doc *Document, err error) {
	// Functions of the expression language run on whatever the file says. A
	// fault in one of them must not take the agent down.
	defer func() {
		if p := recover(); p != nil {
			doc, err = nil, Diagnostics{{File: filename, Message: fmt.Sprintf("the file cannot be evaluated: %v", p)}}
		}
	}()
	return parse(filename, src, opts, nil)
}

func parse(filename string, src []byte, opts Options, use func(*spec, string)) (*Document, error) {
	d := &decoder{report: newReport(), src: src, use: use}
	d.sources[filename] = src
	doc := &Document{}
	api := opts.Format == FormatJSON || opts.Format == FormatAuto && isAPIJob(src)
	switch {
	case !d.readable(filename, src):
	case api:
		doc.job = d.apiJob(filename, src)
	default:
		doc.job = d.file(filename, src, opts)
	}
	if d.failed() {
		return nil, d.sorted()
	}
	byPlace(d.remarks)
	doc.warnings = d.remarks
	doc.submission = submission(src, opts, d.env)
	if api {
		doc.submission.Format = "json"
	}
	return doc, nil
}

func (d *decoder) readable(filename string, src []byte) bool {
	start := hcl.Range{Filename: filename, Start: hcl.Pos{Line: 1, Column: 1}}
	switch {
	case len(bytes.TrimSpace(src)) == 0:
		d.errorf(start, "the job file is empty")
	case len(src) > maxSource:
		d.errorf(hcl.Range{Filename: filename}, "the job file is larger than %d MiB", maxSource>>20)
	default:
		return d.isText(filename, src)
	}
	return false
}

// isText reports bytes that are not UTF-8, which no form of job file may hold.
func (d *decoder) isText(filename string, src []byte) bool {
	for i := 0; i < len(src); {
		r, n := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && n == 1 {
			d.errorf(placeOf(filename, src, i), "invalid character encoding: the file has to be UTF-8")
			return false
		}
		i += n
	}
	return true
}

// submission keeps the source and the variables given outside of it.
func submission(src []byte, opts Options, env map[string]string) Submission {
	s := Submission{Source: string(src), Format: "hcl2"}
	flags := map[string]string{}
	for name, value := range env {
		flags[name] = value
	}
	for _, kv := range opts.Vars {
		if name, value, ok := strings.Cut(kv, "="); ok {
			flags[name] = value
		}
	}
	if len(flags) > 0 {
		s.VariableFlags = flags
	}
	var files []string
	for _, f := range opts.VarFiles {
		files = append(files, strings.TrimRight(string(f.Source), "\n"))
	}
	s.Variables = strings.Join(files, "\n")
	return s
}

// rootSpec is the file itself.
var rootSpec = &spec{
	name: "the job file",
	blocks: []block{
		labelled("job", "", jobSpec),
		labelled("variable", "", emptyBody),
		many("variables", "", stringPairs),
		many("locals", "", stringPairs),
	},
}

// file decodes HCL.
func (d *decoder) file(filename string, src []byte, opts Options) map[string]any {
	body, ok := d.parseBody(filename, src)
	if !ok {
		return nil
	}
	sc := &scope{ctx: &hcl.EvalContext{Functions: functions(opts), Variables: map[string]cty.Value{}}}
	_, items := d.content(body, rootSpec, sc)
	vars := d.variables(items)
	d.assign(vars, opts)
	sc.ctx.Variables["var"] = d.values(vars, sc.ctx.Functions)
	d.locals(items, sc)

	var job *item
	for i := range items {
		if items[i].name != "job" {
			continue
		}
		if job != nil {
			d.errorf(items[i].rng, "only one job block is allowed; the first is in line %d", job.rng.Start.Line)
			continue
		}
		job = &items[i]
	}
	if job == nil {
		d.errorf(hcl.Range{Filename: filename, Start: hcl.Pos{Line: 1, Column: 1}}, "a job block is required: write job \"name\" { … }")
		return nil
	}
	return d.block(rootSpec.block("job"), *job).out
}
