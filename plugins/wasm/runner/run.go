package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/plugins/wasm/engine"
)

// drainStep is how often a runner that was asked to stop looks whether its guest has answered all requests.
const drainStep = 10 * time.Millisecond

// Main runs the process as a runner if it was started as one, and does not return then.
func Main() {
	switch os.Args[0] {
	case RunName:
		if len(os.Args) != 2 {
			fmt.Fprintf(os.Stderr, "usage: %s DIRECTORY\n", RunName)
			os.Exit(2)
		}
		os.Exit(run(Dir(os.Args[1])))
	case CompileName:
		os.Exit(compile(os.Stdin, os.Stdout))
	}
}

// run runs the module of a directory and returns the exit status.
func run(dir Dir) int {
	task, err := prepare(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, "wasm:", err)
		return 1
	}
	code, err := task.module.Run(context.Background(), task.config)
	result := Result{ExitCode: code}
	var trap *engine.TrapError
	switch {
	case errors.As(err, &trap):
		result = Result{ExitCode: TrapExitCode, Trap: trap}
	case err != nil:
		result = Result{ExitCode: 1, Error: err.Error()}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "wasm:", err)
	}
	if content, err := json.Marshal(result); err == nil && result != (Result{}) {
		_, _ = task.result.Write(content)
	}
	return exitStatus(result.ExitCode)
}

// exitStatus fits an exit code into the 8 bits that the operating system keeps, so that failure stays failure.
func exitStatus(code uint32) int {
	if code != 0 && code&0xff == 0 {
		return 1
	}
	return int(code & 0xff)
}

// task is a guest that is ready to start.
type task struct {
	module engine.Module
	config engine.Config
	result *os.File
}

// prepare does all that can fail and tells the driver how it went.
func prepare(dir Dir) (*task, error) {
	// This fails, as does the write below, once the driver has died: a guest that nobody knows of must not start.
	status, err := os.OpenFile(dir.file(statusFile), os.O_WRONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("report to the driver: %w", err)
	}
	defer status.Close()
	t, err := open(dir)
	var report Status
	if err != nil {
		report = Status{Error: err.Error(), Retryable: errors.Is(err, syscall.EADDRINUSE)}
	}
	content, encodeErr := json.Marshal(report)
	_, writeErr := status.Write(append(content, '\n'))
	return t, errors.Join(err, encodeErr, writeErr)
}

// open opens all that the guest was granted and confines the process.
func open(dir Dir) (_ *task, err error) {
	content, err := os.ReadFile(dir.file(specFile))
	if err != nil {
		return nil, fmt.Errorf("read task: %w", err)
	}
	var spec Spec
	if err := json.Unmarshal(content, &spec); err != nil {
		return nil, fmt.Errorf("decode task: %w", err)
	}
	// The environment may hold secrets, and nobody needs it any more.
	if err := os.Remove(dir.file(specFile)); err != nil {
		return nil, fmt.Errorf("remove task description: %w", err)
	}
	t := &task{config: engine.Config{
		Name: spec.Name, Entrypoint: spec.Entrypoint, Args: append([]string{spec.Name}, spec.Args...),
		Stdout: os.Stdout, Stderr: os.Stderr, Clock: spec.Clock, Random: spec.Random,
	}}
	if t.result, err = os.OpenFile(dir.file(resultFile), os.O_WRONLY|os.O_APPEND, 0); err != nil {
		return nil, fmt.Errorf("open result: %w", err)
	}
	if spec.Stdin != nil {
		if t.config.Stdin, err = spec.Stdin.Open(); err != nil {
			return nil, fmt.Errorf("open stdin: %w", err)
		}
	}
	if t.config.Mounts, err = openMounts(spec.Mounts); err != nil {
		return nil, err
	}
	if t.config.Listeners, err = listen(spec.NetworkNamespace, spec.Listen); err != nil {
		return nil, err
	}
	t.config.Env = guestEnv(spec.Env, t.config.Listeners)
	if t.module, err = load(&spec); err != nil {
		return nil, err
	}
	if spec.User != nil {
		if err := confine(dir.file(rootDir), *spec.User); err != nil {
			return nil, err
		}
	}
	handleSignals(t.config.Listeners)
	return t, nil
}

// openMounts opens the guest's directories.
func openMounts(mounts []Mount) ([]engine.Mount, error) {
	var opened []engine.Mount
	for _, m := range mounts {
		root, err := m.Source.OpenRoot()
		if m.Optional && errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("mount %s at %s: %w", m.Source, m.Target, err)
		}
		opened = append(opened, engine.Mount{Root: root, Path: m.Target, ReadOnly: m.ReadOnly})
	}
	return opened, nil
}

// listen opens the guest's sockets, in another network namespace if one is given: only this thread enters it, and dies
// there.
func listen(namespace string, ports []Port) ([]*engine.Listener, error) {
	if namespace == "" || len(ports) == 0 {
		return listenAll(ports)
	}
	type answer struct {
		listeners []*engine.Listener
		err       error
	}
	answers := make(chan answer)
	go func() {
		runtime.LockOSThread()
		if err := enterNetwork(namespace); err != nil {
			answers <- answer{err: err}
			return
		}
		listeners, err := listenAll(ports)
		answers <- answer{listeners, err}
	}()
	a := <-answers
	return a.listeners, a.err
}

// enterNetwork moves the calling thread to another network namespace.
func enterNetwork(namespace string) error {
	f, err := os.Open(namespace)
	if err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", namespace, err)
	}
	return nil
}

func listenAll(ports []Port) ([]*engine.Listener, error) {
	var listeners []*engine.Listener
	for _, port := range ports {
		listener, err := engine.Listen(port.Label, port.Address)
		if err != nil {
			return nil, err
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

// guestEnv adds to the task's environment what tells a guest about its sockets, in the manner of systemd's socket
// activation: they are the descriptors from 3 on.
func guestEnv(env []string, listeners []*engine.Listener) []string {
	if len(listeners) == 0 {
		return env
	}
	names := make([]string, len(listeners))
	for i, listener := range listeners {
		names[i] = listener.Name()
	}
	return append(env[:len(env):len(env)],
		fmt.Sprintf("LISTEN_FDS=%d", len(listeners)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
}

// load maps the module and fetches its machine code. The module stays mapped: the engine refers to it as long as the
// guest runs, and all tasks of the module share the pages.
func load(spec *Spec) (engine.Module, error) {
	f, err := spec.Module.Open()
	if err != nil {
		return nil, fmt.Errorf("open module: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open module: %w", err)
	}
	binary, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("map module %s: %w", spec.Module, err)
	}
	ctx := context.Background()
	runtime, err := engine.New(ctx, engine.Options{CacheDir: spec.CacheDir, MemoryLimit: spec.MemoryLimit})
	if err != nil {
		return nil, err
	}
	module, err := runtime.Compile(ctx, binary)
	if err == nil {
		err = module.Check(spec.Entrypoint)
	}
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", spec.Name, err)
	}
	// It was read as a whole and hardly will be again: what is needed comes back from the file.
	_ = unix.Madvise(binary, unix.MADV_DONTNEED)
	return module, nil
}

// confine takes away the file system and the rights of the plugin's user for good. What is open stays open.
func confine(root string, user User) error {
	if err := unix.Chroot(root); err != nil {
		return fmt.Errorf("enter empty root directory: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("enter empty root directory: %w", err)
	}
	// These change all threads of the process.
	if err := syscall.Setgroups(nil); err != nil {
		return fmt.Errorf("drop supplementary groups: %w", err)
	}
	if err := syscall.Setresgid(user.GID, user.GID, user.GID); err != nil {
		return fmt.Errorf("become group %d: %w", user.GID, err)
	}
	if err := syscall.Setresuid(user.UID, user.UID, user.UID); err != nil {
		return fmt.Errorf("become user %d: %w", user.UID, err)
	}
	return nil
}

// handleSignals makes the process end by the first signal that asks for it, as soon as the guest has no request under
// way. A guest cannot take signals; but it need not lose requests. Without sockets nothing is done: then the signal ends
// the process by itself, also while a guest computes so long without a break that this goroutine would not get to run
// (machine code of a guest cannot be preempted, and holds up the garbage collector, which holds up everyone else).
func handleSignals(listeners []*engine.Listener) {
	if len(listeners) == 0 {
		return
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		received := <-signals
		for _, listener := range listeners {
			listener.Shut()
		}
		for busy(listeners) {
			time.Sleep(drainStep)
		}
		signal.Reset(received)
		_ = syscall.Kill(os.Getpid(), received.(syscall.Signal))
	}()
}

func busy(listeners []*engine.Listener) bool {
	for _, listener := range listeners {
		if listener.Busy() {
			return true
		}
	}
	return false
}
