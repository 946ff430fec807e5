package jobspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

func TestDiagnosticString(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		d    Diagnostic
		want string
	}{
		{"no place", Diagnostic{Message: "m"}, "m"},
		{"file only", Diagnostic{File: "f", Message: "m"}, "f: m"},
		{"caret", Diagnostic{File: "f", Line: 2, Column: 3, Message: "m", Source: "abcd"}, "f:2:3: m\nabcd\n  ^"},
		{"tab", Diagnostic{File: "f", Line: 2, Column: 2, Message: "m", Source: "\tx"}, "f:2:2: m\n\tx\n\t^"},
		{"after the end", Diagnostic{File: "f", Line: 1, Column: 9, Message: "m", Source: "ab"}, "f:1:9: m\nab\n  ^"},
		{"control", Diagnostic{File: "f", Line: 1, Column: 1, Message: "m", Source: "a\x1b[m"}, "f:1:1: m\na\uFFFD[m\n^"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, tt.d.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSuggest(t *testing.T) {
	t.Parallel()
	names := []string{"group", "task", "datacenters", "to", "id"}
	tests := []struct{ given, want string }{
		{"grup", "group"}, {"Task", "task"}, {"datacenter", "datacenters"}, {"zzzz", ""}, {"xy", ""}, {"", ""},
	}
	for _, tt := range tests {
		want := ""
		if tt.want != "" {
			want = `; did you mean "` + tt.want + `"?`
		}
		if got := suggest(tt.given, names); got != want {
			t.Errorf("suggest(%q) = %q, want %q", tt.given, got, want)
		}
	}
}

// TestFunctionNames holds the list of functions: no more, no fewer.
func TestFunctionNames(t *testing.T) {
	t.Parallel()
	want := strings.Fields(`abs abspath base64decode base64encode basename bcrypt can ceil chomp chunklist cidrhost
		cidrnetmask cidrsubnet cidrsubnets coalesce coalescelist compact concat contains convert csvdecode dirname
		distinct element file filebase64 fileexists fileset flatten floor format formatdate formatlist indent index
		join jsondecode jsonencode keys length log lookup lower max md5 merge min parseint pathexpand pow range
		regex_replace replace reverse rsadecrypt setintersection setproduct setunion sha1 sha256 sha512 signum slice
		sort split strlen strrev substr timeadd title trim trimprefix trimspace trimsuffix try upper urlencode
		uuidv4 uuidv5 values yamldecode yamlencode zipmap`)
	if diff := cmp.Diff(want, sortedKeys(functions(Options{}))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSubmission(t *testing.T) {
	t.Parallel()
	src := []byte("variable \"a\" {}\nvariable \"b\" {}\njob \"j\" {}\n")
	doc, err := Parse("j.hcl", src, Options{
		Vars:     []string{"a=1", "a=2", "ignored"},
		Env:      []string{"NOMAD_VAR_b=3", "NOMAD_VAR_other=4", "PATH=x", "NOMAD_VAR_a=0"},
		VarFiles: []VarFile{{Name: "1", Source: []byte("a = \"x\"\n")}, {Name: "2", Source: []byte("b = \"y\"\n")}},
		Strict:   true,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := Submission{
		Source:        string(src),
		Format:        "hcl2",
		VariableFlags: map[string]string{"a": "2", "b": "3"},
		Variables:     "a = \"x\"\nb = \"y\"",
	}
	if diff := cmp.Diff(want, doc.Submission()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	api, err := Parse("j.json", []byte(`{"Job": {"ID": "j"}}`), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := api.Submission().Format; got != "json" {
		t.Errorf("format of API JSON is %q, want json", got)
	}
	if got := api.ID(); got != "j" {
		t.Errorf("ID() = %q, want j", got)
	}
}

func TestFormat(t *testing.T) {
	t.Parallel()
	api, hclJSON := `{"Job": {"ID": "j"}}`, `{"job": {"j": {}}}`
	tests := []struct {
		name   string
		src    string
		format Format
		ok     bool
	}{
		{"API job", api, FormatAuto, true},
		{"API job as HCL", api, FormatHCL, false},
		{"API job as JSON", api, FormatJSON, true},
		{"HCL JSON", hclJSON, FormatAuto, true},
		{"HCL JSON as HCL", hclJSON, FormatHCL, true},
		{"HCL", `job "j" {}`, FormatAuto, true},
		{"HCL as JSON", `job "j" {}`, FormatJSON, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("f", []byte(tt.src), Options{Format: tt.format})
			if (err == nil) != tt.ok {
				t.Errorf("error %v, want accepted: %v", err, tt.ok)
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	src := append([]byte(`job "j" {}`), make([]byte, maxSource)...)
	_, err := Parse("f", src, Options{})
	if err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("error %v, want one about the size", err)
	}
}

func TestReadVarFilesMissing(t *testing.T) {
	t.Parallel()
	_, err := ReadVarFiles(filepath.Join(t.TempDir(), "none"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want not exist", err)
	}
}

func TestInertJSON(t *testing.T) {
	t.Parallel()
	warnings, err := InertJSON([]byte(`{"ID": "j", "TaskGroups": [{"Name": "g", "Tasks": [{"Name": "t", "Vault": {}}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []Warning{{Path: `group "g" / task "t" / vault`, Message: "stored but not acted on yet: tasks that need it are not started"}}
	if diff := cmp.Diff(want, warnings); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := InertJSON([]byte(`{"ID": 3}`)); err == nil {
		t.Error("a faulty job gives no error")
	}
}

// TestExamples reads the example jobs that come with the sources.
func TestExamples(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("../../examples/jobs/*.nomad.hcl")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no example jobs: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := Parse(path, src, Options{Strict: true})
			if err != nil {
				t.Fatal(err)
			}
			if w := doc.Warnings(); len(w) > 0 {
				t.Error(w)
			}
			if want := strings.TrimSuffix(filepath.Base(path), ".nomad.hcl"); doc.ID() != want {
				t.Errorf("the job is called %s, want %s like the file", doc.ID(), want)
			}
			if got := hclwrite.Format(src); !bytes.Equal(got, src) {
				t.Errorf("not formatted, want:\n%s", got)
			}
		})
	}
}

// TestConcurrent parses and reads from several goroutines at once: nothing in
// the package is shared but the table.
func TestConcurrent(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("testdata/good/dynamic-groups.hcl")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := Parse("f", src, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			again, err := Parse("f", src, Options{})
			if err != nil {
				t.Error(err)
				return
			}
			if diff := cmp.Diff(doc.JSON(), again.JSON()); diff != "" {
				t.Error(diff)
			}
		})
	}
	wg.Wait()
}

// FuzzParse feeds anything to the parser, without the guard that turns a panic
// into an error. What is accepted has to be JSON that reads back the same.
func FuzzParse(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		for _, s := range samples(f, dir) {
			if len(s.src) < 16<<10 {
				f.Add(s.src, strings.Join(s.opts.Vars, "\n"))
			}
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, vars string) {
		doc, err := parse("fuzz.hcl", src, Options{Vars: strings.Split(vars, "\n")}, nil)
		if err != nil {
			var faults Diagnostics
			if !errors.As(err, &faults) || len(faults) == 0 || err.Error() == "" {
				t.Fatalf("an error without a fault: %#v", err)
			}
			return
		}
		body := doc.JSON()
		if !json.Valid(body) {
			t.Fatalf("not JSON: %s", body)
		}
		again, err := parse("again.json", body, Options{Format: FormatJSON}, nil)
		if err != nil {
			t.Fatalf("cannot be read back:\n%v\n%s", err, body)
		}
		if diff := cmp.Diff(string(body), string(again.JSON())); diff != "" {
			t.Fatalf("the document changed (-first +again):\n%s", diff)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, name := range []string{"first.hcl", "task-all.hcl", "dynamic-groups.hcl", "hcl-json.json", "api.json"} {
		src, err := os.ReadFile(filepath.Join("testdata", "good", name))
		if err != nil {
			b.Fatal(err)
		}
		b.Run("file="+name, func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(name, src, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
