package jobspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// A sample is a job file of the corpus with its options.
type sample struct {
	name string // relative to testdata
	src  []byte
	opts Options
}

// samples lists the job files of a folder of the corpus. Beside job.hcl, job.args
// holds one option per line.
func samples(tb testing.TB, dir string) []sample {
	tb.Helper()
	var list []sample
	entries, err := os.ReadDir(filepath.Join("testdata", dir))
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.IsDir() || ext != ".hcl" && ext != ".json" || strings.Contains(e.Name(), ".vars.") {
			continue
		}
		path := filepath.Join("testdata", dir, e.Name())
		src, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, sample{name: filepath.Join(dir, e.Name()), src: src, opts: options(tb, path)})
	}
	if len(list) == 0 {
		tb.Fatalf("no job files in %s", dir)
	}
	return list
}

func options(tb testing.TB, path string) Options {
	tb.Helper()
	opts := Options{Strict: true, BaseDir: filepath.Dir(path)}
	args, err := os.ReadFile(strings.TrimSuffix(path, filepath.Ext(path)) + ".args")
	if errors.Is(err, os.ErrNotExist) {
		return opts
	}
	if err != nil {
		tb.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(args), "\n"), "\n") {
		name, value, _ := strings.Cut(line, " ")
		switch name {
		case "-var":
			opts.Vars = append(opts.Vars, value)
		case "-var-file":
			files, err := ReadVarFiles(filepath.Join(filepath.Dir(path), value))
			if err != nil {
				tb.Fatal(err)
			}
			files[0].Name = value
			opts.VarFiles = append(opts.VarFiles, files...)
		case "-env":
			opts.Env = append(opts.Env, value)
		case "-lenient":
			opts.Strict = false
		case "-fs":
			opts.AllowFS = true
		case "-json":
			opts.Format = FormatJSON
		default:
			tb.Fatalf("%s: unknown option %q", path, line)
		}
	}
	return opts
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("differs from %s (-want +got):\n%s", path, diff)
	}
}

// said is the document without its nulls, indented, and the remarks about it.
func said(tb testing.TB, doc *Document) []byte {
	tb.Helper()
	b := bytes.NewBufferString(indented(tb, doc))
	for _, w := range doc.Warnings() {
		fmt.Fprintf(b, "\nwarning: %s\n", w)
	}
	for i, w := range Inert(doc) {
		if i == 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(b, "inert: %s\n", w)
	}
	return b.Bytes()
}

// indented is the document without its nulls.
func indented(tb testing.TB, doc *Document) string {
	tb.Helper()
	var tree any
	dec := json.NewDecoder(bytes.NewReader(doc.JSON()))
	dec.UseNumber()
	if err := dec.Decode(&tree); err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(withoutNulls(tree)); err != nil {
		tb.Fatal(err)
	}
	return b.String()
}

func withoutNulls(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		if l, ok := v.([]any); ok {
			for i := range l {
				l[i] = withoutNulls(l[i])
			}
		}
		return v
	}
	for k, x := range m {
		if x == nil {
			delete(m, k)
		} else {
			m[k] = withoutNulls(x)
		}
	}
	return m
}

func TestGood(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t, "good") {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			doc, err := Parse(filepath.Base(s.name), s.src, s.opts)
			if err != nil {
				t.Fatalf("refused:\n%v", err)
			}
			golden(t, filepath.Join("testdata", s.name+".golden"), said(t, doc))
		})
	}
}

func TestBad(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t, "bad") {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			doc, err := Parse(filepath.Base(s.name), s.src, s.opts)
			if err == nil {
				t.Fatalf("accepted as\n%s", said(t, doc))
			}
			var faults Diagnostics
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("the error is %T, want Diagnostics with an entry", err)
			}
			golden(t, filepath.Join("testdata", s.name+".golden"), []byte(err.Error()+"\n"))
		})
	}
}

// TestComplete holds the whole document of a job, nulls included.
func TestComplete(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"minimal.hcl", "first.hcl", "task-all.hcl"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(filepath.Join("testdata", "good", name))
			if err != nil {
				t.Fatal(err)
			}
			doc, err := Parse(name, src, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := json.Indent(&b, doc.JSON(), "", "  "); err != nil {
				t.Fatal(err)
			}
			b.WriteByte('\n')
			golden(t, filepath.Join("testdata", "complete", name+".json"), b.Bytes())
		})
	}
}

// TestCorpusCoversTable proves from the table that every attribute and every
// block occurs in an accepted file of the corpus.
func TestCorpusCoversTable(t *testing.T) {
	t.Parallel()
	used := map[*spec]map[string]bool{}
	for _, s := range samples(t, "good") {
		_, err := parse(s.name, s.src, s.opts, func(sp *spec, name string) {
			if used[sp] == nil {
				used[sp] = map[string]bool{}
			}
			used[sp][name] = true
		})
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
	}
	rows := 0
	visited := map[*spec]bool{}
	var visit func(s *spec, path string)
	visit = func(s *spec, path string) {
		if visited[s] {
			return
		}
		visited[s] = true
		for _, name := range s.names() {
			rows++
			if !used[s][name] {
				t.Errorf("no file of the corpus uses %s.%s", path, name)
			}
		}
		for i := range s.blocks {
			visit(s.blocks[i].spec, path+"."+s.blocks[i].name)
		}
	}
	visit(jobSpec, "job")
	if rows < 300 {
		t.Errorf("the table has only %d rows, far fewer than the job specification", rows)
	}
}

// TestRoundTrip reads every document back as JSON of the HTTP API: the two
// forms have to mean the same.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t, "good") {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			doc, err := Parse(s.name, s.src, s.opts)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Parse("again.json", doc.JSON(), Options{Format: FormatJSON})
			if err != nil {
				t.Fatalf("read back:\n%v", err)
			}
			if w := again.Warnings(); len(w) > 0 {
				t.Errorf("read back with remarks:\n%v", w)
			}
			if diff := cmp.Diff(indented(t, doc), indented(t, again)); diff != "" {
				t.Errorf("the document changed (-first +again):\n%s", diff)
			}
		})
	}
}

// TestTable holds what the code assumes of the table.
func TestTable(t *testing.T) {
	t.Parallel()
	visited := map[*spec]bool{}
	var visit func(s *spec)
	visit = func(s *spec) {
		if visited[s] {
			return
		}
		visited[s] = true
		names := s.names()
		sort.Strings(names)
		for i := 1; i < len(names); i++ {
			if names[i] == names[i-1] {
				t.Errorf("%s has %s twice", s.name, names[i])
			}
		}
		keys := map[string]bool{}
		add := func(key string) {
			if key != "" && keys[strings.ToLower(key)] {
				t.Errorf("%s has key %s twice", s.name, key)
			}
			keys[strings.ToLower(key)] = true
		}
		for i := range s.attrs {
			add(s.attrs[i].key)
		}
		for i := range s.blocks {
			b := &s.blocks[i]
			add(b.key)
			if b.attrToo && b.spec.open != openStrings {
				t.Errorf("%s.%s: only maps can be written as attributes", s.name, b.name)
			}
			if b.name == "" && unnamed[b.key] == "" {
				t.Errorf("%s.%s has no name in job files and none in unnamed", s.name, b.key)
			}
			visit(b.spec)
		}
	}
	visit(jobSpec)
	for _, row := range inert {
		if !pathExists(jobSpec, "job", row.path) {
			t.Errorf("no block or attribute is called %s", row.path)
		}
	}
}

// pathExists reports whether a path of the inert table matches any row.
func pathExists(s *spec, names, path string) bool {
	for _, name := range s.names() {
		full := names + "." + name
		if full == path || strings.HasSuffix(full, "."+path) {
			return true
		}
	}
	for i := range s.blocks {
		if b := &s.blocks[i]; b.name != "" && pathExists(b.spec, names+"."+b.name, path) {
			return true
		}
	}
	return false
}
