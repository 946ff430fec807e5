package wasm_test

import (
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/pluginsdk/driver"
)

// namespace makes a network namespace with nothing but loopback, and returns its file and a function that connects to an
// address in it.
func namespace(t *testing.T) (path string, ask func(address, request string) (string, error)) {
	t.Helper()
	type question struct {
		address, request string
		answer           chan<- string
		failure          chan<- error
	}
	questions := make(chan question)
	ready, done := make(chan error), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread dies with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			path = fmt.Sprintf("/proc/%d/task/%d/ns/net", unix.Getpid(), unix.Gettid())
			var loopback netlink.Link
			if loopback, err = netlink.LinkByName("lo"); err == nil {
				err = netlink.LinkSetUp(loopback)
			}
		}
		ready <- err
		for q := range questions {
			conn, err := net.DialTimeout("tcp", q.address, 10*time.Second)
			if err != nil {
				q.failure <- err
				continue
			}
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			buf := make([]byte, 4096)
			_, err = conn.Write([]byte(q.request))
			n := 0
			if err == nil {
				n, err = conn.Read(buf)
			}
			conn.Close()
			if err != nil {
				q.failure <- err
				continue
			}
			q.answer <- string(buf[:n])
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(questions)
		<-done
	})
	return path, func(address, request string) (string, error) {
		answer, failure := make(chan string), make(chan error)
		questions <- question{address, request, answer, failure}
		select {
		case text := <-answer:
			return text, nil
		case err := <-failure:
			return "", err
		}
	}
}

// In a network namespace of its group, a task listens there, on the port inside.
func TestNetworkNamespace(t *testing.T) {
	path, ask := namespace(t)
	n := newNode(t, nil)
	j := n.job(t, "http.wasm", nil)
	j.config.Listen = []string{"http"}
	j.task.Resources.Ports = []*driver.PortMapping{{Label: "http", Value: 29999, To: 8080, HostIp: "192.0.2.1"}}
	j.task.NetworkIsolationSpec = &driver.NetworkIsolation{Mode: driver.NetworkGroup, Path: path}
	j.start(t)
	got, err := ask("127.0.0.1:8080", "GET /healthz HTTP/1.0\r\n\r\n")
	if err != nil || !strings.HasPrefix(got, "HTTP/1.0 200 OK") {
		t.Errorf("got %q, %v", got, err)
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:8080"); err == nil {
		conn.Close()
		t.Error("the task listens in the host's namespace too")
	}
}

func TestUnknownUser(t *testing.T) {
	n := newNode(t, nil)
	j := n.job(t, "guest.wasm", args("exit", "0"))
	j.task.User = "no-such-user"
	if got := j.refused(t); !strings.Contains(got, `user: "no-such-user" is neither a name nor a number`) {
		t.Error(got)
	}
}
