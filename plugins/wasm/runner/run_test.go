package runner

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// exitModule calls proc_exit(300).
const exitModule = "\x00asm\x01\x00\x00\x00" +
	"\x01\x08\x02\x60\x01\x7f\x00\x60\x00\x00" +
	"\x02\x24\x01\x16wasi_snapshot_preview1\x09proc_exit\x00\x00" +
	"\x03\x02\x01\x01" +
	"\x07\x0a\x01\x06_start\x00\x01" +
	"\x0a\x09\x01\x07\x00\x41\xac\x02\x10\x00\x0b"

// prepareDir makes the directory of a runner for a module.
func prepareDir(t *testing.T, module string, change func(*Spec)) Dir {
	t.Helper()
	base := t.TempDir()
	if err := os.WriteFile(filepath.Join(base, "m.wasm"), []byte(module), 0o644); err != nil {
		t.Fatal(err)
	}
	spec := &Spec{Name: "m", Module: Path{Base: base, Rel: "m.wasm"}}
	if change != nil {
		change(spec)
	}
	dir := Dir(filepath.Join(base, "run"))
	if err := dir.Create(spec); err != nil {
		t.Fatal(err)
	}
	return dir
}

// start runs the runner to its end and returns exit status and complaints.
func start(t *testing.T, dir Dir) (status int, complaints string) {
	t.Helper()
	var stderr strings.Builder
	command := exec.Command("/proc/self/exe")
	command.Args = []string{RunName, string(dir)}
	command.Stderr = &stderr
	err := command.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return command.ProcessState.ExitCode(), stderr.String()
}

func TestRun(t *testing.T) {
	for _, test := range []struct {
		name   string
		module string
		change func(*Spec)
		error  string // what the driver hears
		status int
		result Result
	}{
		{"exit code", exitModule, nil, "", 44, Result{ExitCode: 300}},
		{"no mount", exitModule, func(s *Spec) {
			s.Mounts = []Mount{{Source: Path{Base: "/", Rel: "no/such"}, Target: "/x"}}
		}, "mount /no/such at /x", 1, Result{}},
		{"optional mount", exitModule, func(s *Spec) {
			s.Mounts = []Mount{{Source: Path{Base: "/", Rel: "no/such"}, Target: "/x", Optional: true}}
		}, "", 44, Result{ExitCode: 300}},
		{"no module", "", nil, "map module", 1, Result{}},
		{"no network namespace", exitModule, func(s *Spec) {
			s.NetworkNamespace, s.Listen = "/no/such", []Port{{Label: "a", Address: "127.0.0.1:0"}}
		}, "enter network namespace", 1, Result{}},
		{"bad address", exitModule, func(s *Spec) { s.Listen = []Port{{Label: "a", Address: "nowhere"}} }, `port label "a"`, 1, Result{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := prepareDir(t, test.module, test.change)
			pipe, err := dir.OpenStatus()
			if err != nil {
				t.Fatal(err)
			}
			defer pipe.Close()
			status, complaints := start(t, dir)
			if status != test.status {
				t.Errorf("exit status %d, want %d: %s", status, test.status, complaints)
			}
			line, err := bufio.NewReader(pipe).ReadBytes('\n')
			if err != nil {
				t.Fatal(err)
			}
			var said Status
			if err := json.Unmarshal(line, &said); err != nil {
				t.Fatal(err)
			}
			if (said.Error == "") != (test.error == "") || !strings.Contains(said.Error, test.error) {
				t.Errorf("the driver hears %q, want %q", said.Error, test.error)
			}
			if result, err := dir.Result(); err != nil || result != test.result {
				t.Errorf("result %+v, %v, want %+v", result, err, test.result)
			}
			if _, err := os.Stat(dir.file(specFile)); !os.IsNotExist(err) {
				t.Errorf("the description of the task is still there: %v", err)
			}
		})
	}
}

// A runner whose driver has died before it could hear from it does not run its guest: nobody would know of it.
func TestNobodyListens(t *testing.T) {
	dir := prepareDir(t, exitModule, nil)
	status, complaints := start(t, dir)
	if status != 1 || !strings.Contains(complaints, "report to the driver") {
		t.Errorf("exit status %d: %s", status, complaints)
	}
}

func TestExitStatus(t *testing.T) {
	for code, want := range map[uint32]int{0: 0, 1: 1, 255: 255, 256: 1, 257: 1, 300: 44, 1 << 31: 1} {
		if got := exitStatus(code); got != want {
			t.Errorf("exit code %d gives status %d, want %d", code, got, want)
		}
	}
}

func TestCreateTwice(t *testing.T) {
	dir := prepareDir(t, exitModule, nil)
	if err := dir.Create(&Spec{}); !errors.Is(err, os.ErrExist) {
		t.Errorf("a directory in use was created again: %v", err)
	}
	if _, err := os.Stat(dir.file(specFile)); err != nil {
		t.Errorf("the first task's directory has suffered: %v", err)
	}
}
