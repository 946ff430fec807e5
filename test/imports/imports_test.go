package imports

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/seraiproject/serai/"

// forbidden says what the packages below a path must not import, directly or
// through others. Paths are below the module, or complete when they hold a dot.
var forbidden = []struct {
	pkg  string
	not  []string
	why  string
	only []string // exceptions: packages below pkg that may
}{
	{"core/model", []string{"core", "plugins", "pluginsdk", "cmd"}, "the model imports nothing of ours", nil},
	{"core/jobspec", []string{"core/model", "core/server", "core/node", "core/state"}, "the parser writes the API's document and knows no other package", nil},
	{"core/rpc", []string{"core/state", "core/server", "core/node", "core/httpapi", "core/transport"}, "calls are declared apart from who makes and answers them", nil},
	{"core/scheduler", []string{"core/state", "core/server", "core/node", "core/rpc", "core/transport", "github.com/hashicorp/raft", "google.golang.org/grpc"}, "the scheduler is a pure function", nil},
	{"core/state", []string{"core/server", "core/node", "core/transport", "core/httpapi", "github.com/hashicorp/raft"}, "state does not know who changes it", nil},
	{"core/server", []string{"core/node", "core/httpapi", "core/agent", "pluginsdk"}, "server and node meet only in the agent", nil},
	{"core/node", []string{"core/server", "core/state", "core/fsm", "core/scheduler", "core/agent"}, "server and node meet only in the agent", nil},
	{"core/httpapi", []string{"core/server", "core/state", "core/agent", "pluginsdk"}, "the API works on any agent", nil},
	{"core/apiclient", []string{"core/server", "core/state", "core/node", "core/httpapi", "core/agent", "pluginsdk"}, "a client needs the model only", nil},
	{"core/cli", []string{"core/server", "core/state", "core/node", "core/httpapi", "pluginsdk", "plugins"}, "commands talk to the API", nil},
	{"pluginsdk", []string{"core", "plugins", "cmd"}, "drivers are built on the SDK alone", nil},
	{"plugins", []string{"core", "cmd"}, "drivers are built on the SDK alone", nil},
	{"cmd/serai", []string{"plugins"}, "no driver is linked into the agent", nil},
}

type pkg struct {
	ImportPath string
	Dir        string
	Deps       []string
	GoFiles    []string
	Module     *struct {
		Path string
		Main bool
	}
}

func load(t *testing.T) []*pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps=false", "-json=ImportPath,Dir,Deps,GoFiles,Module", module+"...")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []*pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		p := &pkg{}
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func below(path, root string) bool {
	if !strings.Contains(root, ".") {
		root = module + root
	}
	return path == root || strings.HasPrefix(path, root+"/")
}

func TestImportDirections(t *testing.T) {
	pkgs := load(t)
	if len(pkgs) < 20 {
		t.Fatalf("only %d packages found", len(pkgs))
	}
	for _, p := range pkgs {
		for _, f := range forbidden {
			if !below(p.ImportPath, f.pkg) || slices.ContainsFunc(f.only, func(o string) bool { return below(p.ImportPath, o) }) {
				continue
			}
			for _, d := range p.Deps {
				for _, n := range f.not {
					if below(d, n) && !below(d, f.pkg) {
						t.Errorf("%s imports %s: %s", strings.TrimPrefix(p.ImportPath, module), strings.TrimPrefix(d, module), f.why)
					}
				}
			}
		}
	}
}

func TestPluginsDoNotImportEachOther(t *testing.T) {
	for _, p := range load(t) {
		rest, ok := strings.CutPrefix(p.ImportPath, module+"plugins/")
		if !ok {
			continue
		}
		own, _, _ := strings.Cut(rest, "/")
		for _, d := range p.Deps {
			if other, ok := strings.CutPrefix(d, module+"plugins/"); ok && other != own && !strings.HasPrefix(other, own+"/") {
				t.Errorf("plugins/%s imports plugins/%s", rest, other)
			}
		}
	}
}

func TestNothingUnderBUSL(t *testing.T) {
	for _, p := range load(t) {
		for _, d := range p.Deps {
			if d == "github.com/hashicorp/nomad" || strings.HasPrefix(d, "github.com/hashicorp/nomad/") &&
				!strings.HasPrefix(d, "github.com/hashicorp/nomad/api") {
				t.Errorf("%s imports %s, which is under BUSL", p.ImportPath, d)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range load(t) {
		if strings.HasSuffix(p.ImportPath, "pb") { // generated
			continue
		}
		documented := len(p.GoFiles) == 0
		for _, f := range p.GoFiles {
			tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if tree.Doc != nil && len(tree.Doc.Text()) > 20 {
				documented = true
			}
		}
		if !documented {
			t.Errorf("%s has no doc comment", p.ImportPath)
		}
	}
}
