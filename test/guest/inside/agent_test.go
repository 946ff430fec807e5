//go:build inguest

package inside

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seraiproject/serai/pluginsdk/process/supervised/supervisedtest"
)

const agentConfig = `
name = "guest"
bind_addr = "127.0.0.1"
plugin_dir = "/guest/plugins"
advertise {
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}
server {
  enabled          = true
  bootstrap_expect = 1
}
client {
  enabled           = true
  servers           = ["127.0.0.1"]
  network_interface = "lo"
}
plugin "raw_exec" {
  config {
    enabled = true
  }
}
`

const limitsJob = `
job "limits" {
  update {
    min_healthy_time = "100ms"
  }
  group "group" {
    task "contained" {
      driver = "exec"
      config {
        command = "sleep"
        args    = ["1000"]
      }
      resources {
        cores  = 1
        memory = 48
      }
    }
    task "plain" {
      driver = "raw_exec"
      config {
        command = "sleep"
        args    = ["1000"]
      }
      resources {
        cpu    = 100
        memory = 32
      }
    }
  }
}
`

// agent is a running "serai agent".
type agent struct {
	t      *testing.T
	config string
	cmd    *exec.Cmd
}

func (a *agent) start() {
	a.t.Helper()
	log, err := os.OpenFile(a.config+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		a.t.Fatal(err)
	}
	defer log.Close()
	a.cmd = exec.Command("/guest/serai", "agent", "-config", a.config, "-data-dir", filepath.Join(filepath.Dir(a.config), "data"))
	a.cmd.Stdout, a.cmd.Stderr = log, log
	if err := a.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
}

// end sends a signal and waits for the agent's end.
func (a *agent) end(s os.Signal) {
	a.t.Helper()
	if a.cmd.ProcessState != nil {
		return
	}
	if err := a.cmd.Process.Signal(s); err != nil {
		a.t.Error(err)
	}
	if err := a.cmd.Wait(); err != nil && s != os.Kill {
		a.t.Errorf("agent: %v", err)
	}
}

// serai runs a command of the command line until its output has a text in it.
func serai(t *testing.T, want string, args ...string) {
	t.Helper()
	var out []byte
	t.Cleanup(func() {
		if out != nil {
			t.Logf("serai %s:\n%s", strings.Join(args, " "), out)
		}
	})
	supervisedtest.Eventually(t, fmt.Sprintf("%q from serai %s", want, strings.Join(args, " ")), func() bool {
		out, _ = exec.Command("/guest/serai", args...).CombinedOutput()
		return strings.Contains(string(out), want)
	})
	out = nil
}

// scope is the only cgroup of a driver's tasks, and pid the process in it.
func scope(t *testing.T, driver string) (dir string, pid int) {
	t.Helper()
	supervisedtest.Eventually(t, "a task of "+driver, func() bool {
		found, err := filepath.Glob(slice + "/" + driver + "-*.scope")
		if err != nil || len(found) != 1 {
			return false
		}
		dir = found[0]
		pids := processes(t, dir)
		if len(pids) == 1 {
			pid = pids[0]
		}
		// The launch of a container has passed when the command runs.
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		return strings.TrimSpace(string(b)) == "sleep"
	})
	return dir, pid
}

// The whole agent: what a job asks for are the limits of its tasks, which a
// killed agent finds again, and nothing stays of a job that was stopped.
func TestAgent(t *testing.T) {
	dir := t.TempDir()
	a := &agent{t: t, config: filepath.Join(dir, "agent.hcl")}
	job := filepath.Join(dir, "limits.nomad.hcl")
	for path, text := range map[string]string{a.config: agentConfig, job: limitsJob} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a.start()
	t.Cleanup(func() {
		a.end(os.Kill)
		if t.Failed() {
			b, _ := os.ReadFile(a.config + ".log")
			t.Logf("%s", b)
		}
	})
	serai(t, "ready", "node", "status")
	serai(t, "os.cgroups.version", "node", "status", "-self", "-verbose")
	for _, driver := range []string{"raw_exec", "exec"} {
		serai(t, driver, "plugin", "list")
	}
	serai(t, "successful", "job", "run", "-detach", job)
	contained, inner := scope(t, "exec")
	plain, outer := scope(t, "raw_exec")
	for file, want := range map[string]string{
		contained + "/memory.max": "50331648", plain + "/memory.max": "33554432",
		contained + "/pids.max": "16384", plain + "/pids.max": "max", plain + "/cpu.weight": "17",
	} {
		if got := read(t, file); got != want {
			t.Errorf("%s is %s, want %s", file, got, want)
		}
	}
	if own, rest := read(t, contained, "cpuset.cpus.effective"), read(t, plain, "cpuset.cpus.effective"); len(own) != 1 {
		t.Errorf("one core for itself is %q, others have %q", own, rest)
	}
	serai(t, "running", "job", "status", "limits")

	a.end(os.Kill)
	a.start()
	serai(t, "ready", "node", "status")
	serai(t, "running", "job", "status", "limits")
	if _, pid := scope(t, "exec"); pid != inner {
		t.Errorf("the contained task is process %d, was %d", pid, inner)
	}
	if _, pid := scope(t, "raw_exec"); pid != outer {
		t.Errorf("the plain task is process %d, was %d", pid, outer)
	}

	if out, err := exec.Command("/guest/serai", "job", "stop", "-detach", "-purge", "limits").CombinedOutput(); err != nil {
		t.Errorf("stop job: %v, %s", err, out)
	}
	supervisedtest.Eventually(t, "the end of all tasks", func() bool { return gone(inner) && gone(outer) })
	// The allocation's directory, with mounts in it, stays until it is
	// collected.
	if out, err := exec.Command("/guest/serai", "system", "gc").CombinedOutput(); err != nil {
		t.Errorf("collect garbage: %v, %s", err, out)
	}
	left := []string{"unknown"}
	t.Cleanup(func() {
		if len(left) > 0 {
			t.Logf("left behind: %q", left)
		}
	})
	supervisedtest.Eventually(t, "the end of all traces", func() bool {
		scopes, _ := filepath.Glob(mount + "/nomad.slice/*/*.scope")
		allocs, _ := filepath.Glob(dir + "/data/alloc/*")
		left = slices.Concat(scopes, allocs, leftovers())
		return len(left) == 0
	})
	a.end(syscall.SIGINT)
}
