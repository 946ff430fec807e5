package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// patience bounds every wait of a script.
const patience = 90 * time.Second

// commands are what scripts can do beside testscript's own.
//
//	agent NAME ARGS...      starts `serai agent ARGS` on free ports, waits until
//	                        it answers, and points NOMAD_ADDR at it. In ARGS and
//	                        files, NAME_HTTP, NAME_RPC and NAME_SERF are ports.
//	ports NAME              chooses the ports of an agent before it starts
//	use NAME                points NOMAD_ADDR at another agent
//	kill9 NAME              kill -9 of an agent
//	kill9pid PID            kill -9 of any process that a test may end
//	stop NAME               Ctrl-C; waits for the end, which must be clean
//	again NAME              starts a killed agent with the same arguments
//	until REGEXP CMD...     repeats a command until its output matches
//	set VAR REGEXP CMD...   as until; the first group becomes $VAR
//	get REGEXP URL          repeats a request until the answer matches
//	pid VAR REGEXP          the process whose command line matches becomes $VAR
//	child VAR PID           its only child becomes $VAR
//	alive PID, dead PID     is there such a process; dead waits for its end
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"agent": cmdAgent, "ports": cmdPorts, "use": cmdUse, "kill9": cmdKill9, "kill9pid": cmdKill9PID, "stop": cmdStop,
	"again": cmdAgain, "until": cmdUntil, "set": cmdSet, "get": cmdGet, "alive": cmdAlive, "dead": cmdDead,
	"pid": cmdPID, "child": cmdChild,
}

type agentsKey struct{}

// agents are the agents of one script.
type agents struct {
	byName map[string]*agent
	dir    string
}

type agent struct {
	name  string
	ports [3]int // HTTP, RPC, gossip
	args  []string
	cmd   *exec.Cmd
	log   *os.File
	ended chan struct{}
}

func agentsOf(ts *testscript.TestScript) *agents { return ts.Value(agentsKey{}).(*agents) }

func (as *agents) find(ts *testscript.TestScript, name string) *agent {
	a := as.byName[name]
	if a == nil {
		ts.Fatalf("no agent %q was started", name)
	}
	return a
}

// taken remembers the ports given out, for scripts that run side by side.
var (
	portsMu sync.Mutex
	taken   = map[int]bool{}
)

func freePort(ts *testscript.TestScript) int {
	portsMu.Lock()
	defer portsMu.Unlock()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		port := l.Addr().(*net.TCPAddr).Port
		ts.Check(l.Close())
		if !taken[port] {
			taken[port] = true
			return port
		}
	}
}

func (as *agents) prepare(ts *testscript.TestScript, name string) *agent {
	if a := as.byName[name]; a != nil {
		return a
	}
	a := &agent{name: name}
	for i, kind := range []string{"HTTP", "RPC", "SERF"} {
		a.ports[i] = freePort(ts)
		ts.Setenv(name+"_"+kind, strconv.Itoa(a.ports[i]))
	}
	as.byName[name] = a
	return a
}

func cmdPorts(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		agentsOf(ts).prepare(ts, name)
	}
}

func cmdAgent(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 1 {
		ts.Fatalf("usage: agent NAME ARGS...")
	}
	a := agentsOf(ts).prepare(ts, args[0])
	file := ts.MkAbs(a.name + "-ports.hcl")
	text := fmt.Sprintf(`name = %q
ports {
  http = %d
  rpc  = %d
  serf = %d
}
advertise {
  http = "127.0.0.1"
  rpc  = "127.0.0.1"
  serf = "127.0.0.1"
}
`, a.name, a.ports[0], a.ports[1], a.ports[2])
	ts.Check(os.WriteFile(file, []byte(text), 0o600))
	a.args = append(append([]string{"agent"}, args[1:]...), "-config", file)
	a.start(ts)
	ts.Defer(func() { a.end(ts) })
	cmdUse(ts, false, args[:1])
}

func (a *agent) url() string { return fmt.Sprintf("http://127.0.0.1:%d", a.ports[0]) }

func (a *agent) start(ts *testscript.TestScript) {
	log, err := os.OpenFile(ts.MkAbs(a.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	cmd := exec.Command(filepath.Join(bin, "serai"), a.args...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	ts.Check(cmd.Start())
	ended := make(chan struct{})
	a.cmd, a.log, a.ended = cmd, log, ended
	go func() {
		defer close(ended)
		cmd.Wait() // the state is in cmd.ProcessState
	}()
	a.poll(ts, "the agent to answer", func() bool {
		resp, err := http.Get(a.url() + "/v1/agent/health")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return true
	})
	ts.Setenv(a.name+"_PID", strconv.Itoa(cmd.Process.Pid))
}

func (a *agent) poll(ts *testscript.TestScript, what string, done func() bool) {
	for deadline := time.Now().Add(patience); !done(); {
		select {
		case <-a.ended:
			ts.Fatalf("agent %s ended: %v\n%s", a.name, a.cmd.ProcessState, a.read())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			ts.Fatalf("waited %s for %s\n%s", patience, what, a.read())
		}
	}
}

// read returns the end of the agent's log, without the requests.
func (a *agent) read() string {
	b, err := os.ReadFile(a.log.Name())
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		if !strings.Contains(line, "http: request answered") {
			lines = append(lines, line)
		}
	}
	if len(lines) > 60 {
		lines = lines[len(lines)-60:]
	}
	return strings.Join(lines, "")
}

func (a *agent) running() bool {
	if a.cmd == nil {
		return false
	}
	select {
	case <-a.ended:
		return false
	default:
		return true
	}
}

// end cleans up after a script. A development agent stops its tasks itself;
// those of others outlive their agent, so that their jobs are stopped first.
func (a *agent) end(ts *testscript.TestScript) {
	if a.running() {
		a.stopJobs(ts)
		a.cmd.Process.Signal(os.Interrupt) // it may be gone by now
		select {
		case <-a.ended:
		case <-time.After(patience):
			a.cmd.Process.Kill()
			<-a.ended
			ts.Logf("agent %s had to be killed", a.name)
		}
	}
	ts.Logf("log of agent %s:\n%s", a.name, a.read())
	a.log.Close()
}

// stopJobs stops every job and waits for the end of their tasks. It is for
// scripts that failed half-way: one that passes has done so itself.
func (a *agent) stopJobs(ts *testscript.TestScript) {
	var jobs []struct{ ID string }
	if !a.json("GET", "/v1/jobs", &jobs) {
		return
	}
	for _, j := range jobs {
		a.json("DELETE", "/v1/job/"+url.PathEscape(j.ID), nil)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		var allocs []struct{ ClientStatus string }
		busy := a.json("GET", "/v1/allocations", &allocs) && slices.ContainsFunc(allocs, func(s struct{ ClientStatus string }) bool {
			return s.ClientStatus == "running"
		})
		if !busy {
			return
		}
	}
	ts.Logf("tasks of agent %s still run", a.name)
}

// json makes one request and reports if it was answered.
func (a *agent) json(method, path string, out any) bool {
	req, err := http.NewRequest(method, a.url()+path, nil)
	if err != nil {
		return false
	}
	client := &http.Client{Timeout: 5 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK && (out == nil || json.NewDecoder(resp.Body).Decode(out) == nil)
}

func cmdUse(ts *testscript.TestScript, _ bool, args []string) {
	a := agentsOf(ts).find(ts, args[0])
	ts.Setenv("NOMAD_ADDR", a.url())
}

func cmdKill9(ts *testscript.TestScript, _ bool, args []string) {
	a := agentsOf(ts).find(ts, args[0])
	ts.Check(a.cmd.Process.Kill())
	<-a.ended
}

func cmdKill9PID(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(syscall.Kill(number(ts, args[0]), syscall.SIGKILL))
}

func cmdStop(ts *testscript.TestScript, _ bool, args []string) {
	a := agentsOf(ts).find(ts, args[0])
	ts.Check(a.cmd.Process.Signal(os.Interrupt))
	select {
	case <-a.ended:
	case <-time.After(patience):
		ts.Fatalf("agent %s did not stop\n%s", a.name, a.read())
	}
	if code := a.cmd.ProcessState.ExitCode(); code != 0 {
		ts.Fatalf("agent %s ended with %v\n%s", a.name, a.cmd.ProcessState, a.read())
	}
}

func cmdAgain(ts *testscript.TestScript, _ bool, args []string) {
	a := agentsOf(ts).find(ts, args[0])
	if a.running() {
		ts.Fatalf("agent %s runs", a.name)
	}
	a.log.Close()
	a.start(ts)
}

func number(ts *testscript.TestScript, s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n <= 1 {
		ts.Fatalf("%q is not a PID", s)
	}
	return n
}

// output runs a command and returns all it wrote.
func output(ts *testscript.TestScript, args []string) string {
	name := args[0]
	if name == "serai" {
		name = filepath.Join(bin, "serai")
	}
	cmd := exec.Command(name, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "NOMAD_ADDR="+ts.Getenv("NOMAD_ADDR"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		ts.Fatalf("run %s: %v", strings.Join(args, " "), err)
	}
	return out.String()
}

func match(ts *testscript.TestScript, pattern string, args []string) []string {
	re, err := regexp.Compile("(?m)" + pattern)
	ts.Check(err)
	var last string
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		last = output(ts, args)
		if m := re.FindStringSubmatch(last); m != nil {
			ts.Logf("%s", last)
			return m
		}
		if time.Now().After(deadline) {
			var logs strings.Builder
			for _, a := range agentsOf(ts).byName {
				if a.log != nil {
					fmt.Fprintf(&logs, "\nlog of agent %s:\n%s", a.name, a.read())
				}
			}
			ts.Fatalf("%s: no match for %q in %s; last:\n%s%s", strings.Join(args, " "), pattern, patience, last, logs.String())
		}
	}
}

func cmdUntil(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: until REGEXP CMD...")
	}
	match(ts, args[0], args[1:])
}

func cmdSet(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: set VAR REGEXP CMD...")
	}
	m := match(ts, args[1], args[2:])
	if len(m) < 2 {
		ts.Fatalf("%q has no group", args[1])
	}
	ts.Setenv(args[0], m[1])
}

func cmdGet(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: get REGEXP URL")
	}
	re, err := regexp.Compile(args[0])
	ts.Check(err)
	last := "no answer"
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get(args[1]); err != nil {
			last = err.Error()
		} else {
			var b bytes.Buffer
			_, err := b.ReadFrom(resp.Body)
			resp.Body.Close()
			ts.Check(err)
			if last = b.String(); re.MatchString(last) {
				ts.Logf("%s", last)
				return
			}
		}
		if time.Now().After(deadline) {
			ts.Fatalf("get %s: no match for %q: %s", args[1], args[0], last)
		}
	}
}

// exists reports whether a process runs; a zombie does not.
func exists(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func cmdAlive(ts *testscript.TestScript, neg bool, args []string) {
	for _, arg := range args {
		if exists(number(ts, arg)) == neg {
			ts.Fatalf("process %s: alive is %v", arg, neg)
		}
	}
}

func cmdDead(ts *testscript.TestScript, _ bool, args []string) {
	pid := number(ts, args[0])
	for deadline := time.Now().Add(patience); exists(pid); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("process %d still runs", pid)
		}
	}
}

// cmdPID finds the one process with a command line, whose words are separated
// by blanks. It waits for it to appear.
func cmdPID(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: pid VAR REGEXP")
	}
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	var found []string
	for deadline := time.Now().Add(patience); len(found) != 1; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("processes with a command line like %q: %v", args[1], found)
		}
		files, err := filepath.Glob("/proc/[0-9]*/cmdline")
		ts.Check(err)
		found = nil
		for _, f := range files {
			line, err := os.ReadFile(f)
			if err != nil {
				continue // it ended
			}
			words := strings.ReplaceAll(strings.TrimRight(string(line), "\x00"), "\x00", " ")
			if re.MatchString(words) {
				found = append(found, filepath.Base(filepath.Dir(f)))
			}
		}
	}
	ts.Setenv(args[0], found[0])
}

// cmdChild finds the one child of a process.
func cmdChild(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: child VAR PID")
	}
	pid := number(ts, args[1])
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	ts.Check(err)
	children := strings.Fields(string(list))
	if len(children) != 1 {
		ts.Fatalf("process %d has children %v", pid, children)
	}
	ts.Setenv(args[0], children[0])
}
