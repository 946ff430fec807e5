// Guest does what the tests of the wasm driver ask for in its first argument.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

func main() {
	switch args := os.Args[1:]; args[0] {
	case "exit":
		code, err := strconv.Atoi(args[1])
		check(err)
		os.Exit(code)
	case "args":
		fmt.Printf("%q\n", os.Args)
	case "env":
		for _, pair := range os.Environ() {
			fmt.Println(pair)
		}
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		check(err)
	case "spin":
		fmt.Println("spinning")
		for i := 0; ; i++ {
			runtime.KeepAlive(i)
		}
	case "sleep":
		pause, err := time.ParseDuration(args[1])
		check(err)
		fmt.Println("sleeping")
		time.Sleep(pause)
		fmt.Println("awake")
		os.Exit(7)
	case "grow":
		// Keeps allocating until the memory is refused.
		var kept [][]byte
		for {
			kept = append(kept, make([]byte, 1<<20))
			for i := 0; i < 1<<20; i += 4096 {
				kept[len(kept)-1][i] = 1
			}
			fmt.Println("MiB", len(kept))
		}
	case "time":
		now := time.Now()
		start := now
		time.Sleep(3 * time.Hour)
		fmt.Println(now.UTC().Format(time.RFC3339Nano), time.Since(start).Truncate(time.Hour))
	case "random":
		buf := make([]byte, 16)
		_, err := rand.Read(buf)
		check(err)
		fmt.Printf("%x\n", buf)
	case "read":
		report(func() (string, error) {
			content, err := os.ReadFile(args[1])
			return strings.TrimSpace(string(content)), err
		})
	case "list":
		report(func() (string, error) {
			entries, err := os.ReadDir(args[1])
			var names []string
			for _, entry := range entries {
				name := entry.Name()
				if entry.IsDir() {
					name += "/"
				}
				names = append(names, name)
			}
			return strings.Join(names, " "), err
		})
	case "write":
		report(func() (string, error) { return "written", os.WriteFile(args[1], []byte(args[2]), 0o644) })
	case "symlink":
		report(func() (string, error) { return "linked", os.Symlink(args[1], args[2]) })
	case "files":
		check(files(args[1]))
		fmt.Println("files ok")
	case "slow":
		check(slow())
	default:
		check(fmt.Errorf("unknown: %q", args))
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(99)
	}
}

// report prints what became of an attempt.
func report(attempt func() (string, error)) {
	result, err := attempt()
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	fmt.Println(result)
}

// files goes through what can be done with files below dir.
func files(dir string) error {
	path := func(name string) string { return dir + "/" + name }
	if err := os.Mkdir(path("d"), 0o755); err != nil {
		return err
	}
	f, err := os.Create(path("d/f"))
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString("0123456789"); err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte("ab"), 2); err != nil {
		return err
	}
	if err := f.Truncate(8); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if _, err := f.Seek(1, io.SeekStart); err != nil {
		return err
	}
	buf := make([]byte, 3)
	if _, err := io.ReadFull(f, buf); err != nil || string(buf) != "1ab" {
		return fmt.Errorf("read %q: %w", buf, err)
	}
	stamp := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(path("d/f"), stamp, stamp); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil || info.Size() != 8 || !info.ModTime().Equal(stamp) {
		return fmt.Errorf("stat %v: %w", info, err)
	}
	log, err := os.OpenFile(path("d/f"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := log.WriteString("+"); err != nil {
		return err
	}
	if err := log.Close(); err != nil {
		return err
	}
	if err := os.Symlink("f", path("d/s")); err != nil {
		return err
	}
	if to, err := os.Readlink(path("d/s")); err != nil || to != "f" {
		return fmt.Errorf("readlink %q: %w", to, err)
	}
	if content, err := os.ReadFile(path("d/s")); err != nil || string(content) != "01ab4567+" {
		return fmt.Errorf("content %q: %w", content, err)
	}
	if err := os.Link(path("d/f"), path("d/l")); err != nil {
		return err
	}
	if err := os.Rename(path("d/l"), path("d/m")); err != nil {
		return err
	}
	entries, err := os.ReadDir(path("d"))
	if err != nil || len(entries) != 3 {
		return fmt.Errorf("list %v: %w", entries, err)
	}
	if err := os.Remove(path("d")); err == nil {
		return errors.New("removed a directory that is not empty")
	}
	return os.RemoveAll(path("d"))
}

// slow serves HTTP; a request takes as long as its query says, and the pages of others are not held up by it.
func slow() error {
	listener, err := net.FileListener(os.NewFile(3, "http"))
	if err != nil {
		return err
	}
	fmt.Println("serving")
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		pause, _ := time.ParseDuration(r.URL.RawQuery)
		fmt.Println("got", r.URL)
		time.Sleep(pause)
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "done %d\n", len(body))
		if r.URL.Path == "/large" {
			w.Write(make([]byte, 4<<20))
		}
	}))
}
