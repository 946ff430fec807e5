package driver_test

import (
	"os/exec"
	"strings"
	"testing"
)

// TestWhatADriverLinks keeps the load small that a driver's author takes on.
func TestWhatADriverLinks(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}} {{.ImportPath}}", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	modules := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		module, pkg, _ := strings.Cut(line, " ")
		modules[module] = true
		if strings.HasPrefix(pkg, "github.com/seraiproject/serai/") && !strings.HasPrefix(pkg, "github.com/seraiproject/serai/pluginsdk/") {
			t.Errorf("the SDK imports %s", pkg)
		}
		for _, unwanted := range []string{"hashicorp/hcl", "zclconf/go-cty", "hashicorp/go-plugin", "net/rpc"} {
			if strings.Contains(pkg, unwanted) {
				t.Errorf("a driver links %s", pkg)
			}
		}
	}
	// The standard library counts as one without a name.
	if len(modules) > 10 {
		t.Errorf("a driver links %d modules: %v", len(modules), modules)
	}
}
