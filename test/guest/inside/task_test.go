//go:build inguest

package inside

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/seraiproject/serai/pluginsdk/driver"
	"github.com/seraiproject/serai/pluginsdk/process/supervised/supervisedtest"
)

func TestExitCodes(t *testing.T) {
	both(t, func(t *testing.T, h *supervisedtest.Host, _ string) {
		cases := []struct {
			script string
			want   driver.ExitResult
		}{
			{"exit 0", driver.ExitResult{}},
			{"exit 7", driver.ExitResult{Code: 7}},
			{"sleep 1000 & exit 3", driver.ExitResult{Code: 3}},
		}
		for _, c := range cases {
			if got := h.Run(t, shell(c.script), nil).Wait(); got != c.want {
				t.Errorf("%s: %+v, want %+v", c.script, got, c.want)
			}
		}
	})
}

func TestSignals(t *testing.T) {
	both(t, func(t *testing.T, h *supervisedtest.Host, _ string) {
		task := start(t, h, `trap 'echo hup' HUP; trap 'echo int; exit 3' INT; echo up; while :; do sleep 0.05; done`, nil)
		if err := h.Client.SignalTask(t.Context(), task.Config.GetId(), "SIGHUP"); err != nil {
			t.Fatal(err)
		}
		supervisedtest.Eventually(t, "SIGHUP", func() bool { return strings.HasSuffix(task.Stdout(), "hup\n") })
		if err := h.Client.StopTask(t.Context(), task.Config.GetId(), supervisedtest.Patience, ""); err != nil {
			t.Fatal(err)
		}
		if got := task.Wait(); got.Code != 3 {
			t.Errorf("result %+v", got)
		}
		if got := task.Output(); got != "up\nhup\nint\n" {
			t.Errorf("output %q", got)
		}
	})
}

// A command inside a task counts towards the task's limits.
func TestExec(t *testing.T) {
	both(t, func(t *testing.T, h *supervisedtest.Host, _ string) {
		task := start(t, h, "echo up; exec sleep 1000", megabytes(32, 0, 100, ""))
		dir := cgroup(t, pid(t, task, "pid"))
		if got := len(processes(t, dir)); got != 1 {
			t.Errorf("%d processes before", got)
		}
		input, feed := io.Pipe()
		type ended struct {
			result driver.ExitResult
			err    error
		}
		done := make(chan ended, 1)
		var out, errs bytes.Buffer
		go func() {
			result, err := task.Exec(driver.ExecCommand{Args: []string{"sh", "-c", "cat; echo err >&2; exit 4"}, Stdin: input, Stdout: &out, Stderr: &errs})
			done <- ended{result, err}
		}()
		supervisedtest.Eventually(t, "the command in the task's cgroup", func() bool { return len(processes(t, dir)) == 3 })
		if _, err := feed.Write([]byte("in\n")); err != nil {
			t.Error(err)
		}
		feed.Close()
		if got := <-done; got.err != nil || got.result.Code != 4 || out.String() != "in\n" || errs.String() != "err\n" {
			t.Errorf("%+v, %v, output %q, %q", got.result, got.err, &out, &errs)
		}
		got, err := task.Exec(driver.ExecCommand{Args: []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"}})
		if err != nil || got.Signal != int(syscall.SIGKILL) {
			t.Errorf("a command over the task's limit: %+v, %v", got, err)
		}
	})
}

// A container sees its own cgroup as the root, cannot change it, and has no
// device but the usual ones.
func TestContainer(t *testing.T) {
	h := supervisedtest.New(t, "./plugins/exec", nil)
	task := h.Run(t, shell(`cat /proc/self/cgroup /sys/fs/cgroup/memory.max
		echo 1 2>/dev/null >/sys/fs/cgroup/cgroup.procs || echo read-only
		mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg 2>&1 >/dev/null | grep -o 'Operation not permitted'
		head -c 4 /dev/zero | wc -c`), func(c *driver.TaskConfig) {
		megabytes(32, 0, 100, "")(c)
		c.User = "root"
	})
	task.Wait()
	if got, want := task.Output(), "0::/\n33554432\nread-only\nOperation not permitted\n4\n"; got != want {
		t.Errorf("output %q, want %q; %s", got, want, task.Stderr())
	}
}

// A plugin that was killed finds its tasks again, their limits and their ends.
func TestPluginKilled(t *testing.T) {
	both(t, func(t *testing.T, h *supervisedtest.Host, name string) {
		for _, between := range []bool{false, true} {
			fifo := ""
			task := start(t, h, "echo up; read x <$FIFO; echo done; exit 9", func(c *driver.TaskConfig) {
				megabytes(32, 0, 100, "")(c)
				fifo = filepath.Join(driver.Dirs(c).Local, "go")
				c.Env["FIFO"] = fifo
				if name == "exec" {
					c.Env["FIFO"] = "/local/go"
				}
				if err := syscall.Mkfifo(fifo, 0o644); err != nil {
					t.Fatal(err)
				}
			})
			was := task.Attributes()
			dir, supervisor := cgroup(t, pid(t, task, "pid")), pid(t, task, "supervisor_pid")
			finish := func() {
				if err := os.WriteFile(fifo, []byte("\n"), 0); err != nil {
					t.Fatal(err)
				}
			}
			h.Kill()
			if between {
				finish()
				supervisedtest.Eventually(t, "the end of the supervisor", func() bool { return gone(supervisor) })
			}
			h.Restart()
			if err := task.Recover(); err != nil {
				t.Fatal(err)
			}
			if !between {
				if is := task.Attributes(); fmt.Sprint(is) != fmt.Sprint(was) {
					t.Errorf("recovered as %v, was %v", is, was)
				}
				if got := read(t, dir, "memory.max"); got != "33554432" {
					t.Errorf("memory.max is %s after recovery", got)
				}
				var out bytes.Buffer
				if got, err := task.Exec(driver.ExecCommand{Args: []string{"echo", "inside"}, Stdout: &out}); err != nil || !got.Successful() || out.String() != "inside\n" {
					t.Errorf("exec after recovery: %+v, %v, %q", got, err, &out)
				}
				finish()
			}
			if got := task.Wait(); got != (driver.ExitResult{Code: 9}) {
				t.Errorf("result %+v", got)
			}
			if got := task.Output(); got != "up\ndone\n" {
				t.Errorf("output %q", got)
			}
			if err := h.Client.DestroyTask(t.Context(), task.Config.GetId(), true); err != nil {
				t.Fatal(err)
			}
			if !missing(dir) {
				t.Errorf("%s remains", dir)
			}
		}
	})
}
