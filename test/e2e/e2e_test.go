package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// root is the module's folder, from here.
const root = "../.."

// bin is where the binaries under test are: bin/serai, bin/plugins/*,
// bin/examples/*.
var bin string

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "serai-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	bin = filepath.Join(dir, "bin")
	if err := build(bin); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// build makes what `make build` makes, and the mock driver.
func build(to string) error {
	if os.Getuid() != 0 {
		return fmt.Errorf("end-to-end tests need root: isolated tasks have cgroups and namespaces")
	}
	targets := []struct{ pkg, out, goos string }{
		{"./cmd/serai", "serai", ""},
		{"./cmd/serai-driver-exec", "plugins/exec", ""},
		{"./cmd/serai-driver-raw_exec", "plugins/raw_exec", ""},
		{"./cmd/serai-driver-wasm", "plugins/wasm", ""},
		{"./cmd/serai-driver-mock", "plugins/mock", ""},
		{"./examples/wasm/http", "examples/http.wasm", "wasip1"},
		{"./examples/wasm/filter", "examples/filter.wasm", "wasip1"},
	}
	for _, t := range targets {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(to, t.out), t.pkg)
		cmd.Dir = root
		if t.goos != "" {
			cmd.Env = append(os.Environ(), "GOOS="+t.goos, "GOARCH=wasm", "CGO_ENABLED=0")
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", t.pkg, err, out)
		}
	}
	return nil
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		Cmds:                commands,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+":"+os.Getenv("PATH"))
			env.Setenv("BIN", bin)
			repo, err := filepath.Abs(root)
			if err != nil {
				return err
			}
			env.Setenv("REPO", repo)
			env.Setenv("NO_COLOR", "1")
			env.Values[agentsKey{}] = &agents{byName: map[string]*agent{}, dir: env.WorkDir}
			return nil
		},
	})
}
