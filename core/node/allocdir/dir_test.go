package allocdir

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/core/model"
)

func build(t *testing.T) Dir {
	t.Helper()
	d := Dir{filepath.Join(t.TempDir(), "alloc-1")}
	if err := d.Create(); err != nil {
		t.Fatal(err)
	}
	if err := d.Task("web").Create(0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Destroy(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func TestLayout(t *testing.T) {
	d := build(t)
	if err := d.Task("web").Create(0); err != nil { // again, as after a restart
		t.Fatal(err)
	}
	got := map[string]string{}
	err := filepath.WalkDir(d.Root, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		rel, _ := filepath.Rel(d.Root, p)
		got[rel] = info.Mode().String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		".": "drwx--x--x", "alloc": "drwxrwxrwx", "alloc/data": "drwxrwxrwx", "alloc/logs": "drwxrwxrwx",
		"alloc/tmp": "drwxrwxrwx", "web": "drwxrwxrwx", "web/local": "drwxrwxrwx", "web/private": "drwxrwxrwx",
		"web/secrets": "drwxrwxrwx", "web/tmp": "dtrwxrwxrwx",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	mounts, err := d.mounts()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(mounts); os.Geteuid() == 0 && n != 2 {
		t.Errorf("%d memory mounts, want 2", n)
	}
	if err := d.Task("web").Forget(); err != nil {
		t.Fatal(err)
	}
	if mounts, err = d.mounts(); err != nil || len(mounts) != 0 {
		t.Errorf("left: %v, %v", mounts, err)
	}
}

func TestDestroySparesMountedHostFiles(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Log("mount needs root; only the plain case is tested")
	}
	host := t.TempDir()
	precious := filepath.Join(host, "precious")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	d := build(t)
	inside := filepath.Join(d.Task("web").Local(), "host")
	if err := os.Mkdir(inside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(host, filepath.Join(d.Task("web").Local(), "link")); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := unix.Mount(host, inside, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Destroy(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("a host file was removed: %v", err)
	}
	if _, err := os.Stat(d.Root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("directory is still there: %v", err)
	}
	if err := d.Destroy(); err != nil {
		t.Errorf("second time: %v", err)
	}
}

func TestFiles(t *testing.T) {
	d := build(t)
	write := func(p, s string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(d.Root, p), []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, p string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(d.Root, p)); err != nil {
			t.Fatal(err)
		}
	}
	write("alloc/data/a.txt", "hello")
	write("web/secrets/token", "s3cret")
	write("web/local/page.html", "<html></html>")
	link("/etc/passwd", "web/local/abs")
	link("../../../../etc/passwd", "web/local/rel")
	link("../secrets/token", "web/local/steal")
	link("page.html", "web/local/ok")
	if err := unix.Mkfifo(filepath.Join(d.Root, "web/local/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := d.Files()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	for _, c := range []struct {
		path, content string
		class         error
		text          string
	}{
		{path: "alloc/data/a.txt", content: "hello"},
		{path: "/alloc/data/../data/a.txt", content: "hello"},
		{path: "web/local/ok", content: "<html></html>"},
		{path: "../alloc-1/alloc/data/a.txt", class: model.ErrInvalid, text: "Path escapes the alloc directory"},
		{path: "alloc/../../x", class: model.ErrInvalid, text: "Path escapes the alloc directory"},
		{path: "web/local/abs", class: model.ErrInvalid, text: "Path escapes"},
		{path: "web/local/rel", class: model.ErrInvalid, text: "Path escapes"},
		{path: "web/secrets/token", class: model.ErrDenied, text: "Reading secret file prohibited: web/secrets/token"},
		{path: "web/local/steal", class: model.ErrDenied, text: "prohibited"},
		{path: "web/local/../secrets/token", class: model.ErrDenied, text: "prohibited"},
		{path: "web/local/pipe", class: model.ErrInvalid, text: "not a regular file"},
		{path: "web/local", class: model.ErrInvalid, text: "not a regular file"},
		{path: "nothing", class: model.ErrNotFound, text: "no such file"},
	} {
		t.Run(c.path, func(t *testing.T) {
			r, err := f.Open(c.path)
			if c.class != nil {
				if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.text) {
					t.Fatalf("got error %v, want %q of class %v", err, c.text, c.class)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			b, err := io.ReadAll(r)
			if err != nil || string(b) != c.content {
				t.Errorf("got %q, %v", b, err)
			}
		})
	}

	list, err := f.List("/web")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name)
	}
	if diff := cmp.Diff([]string{"local", "private", "secrets", "tmp"}, names); diff != "" {
		t.Error(diff)
	}
	if _, err := f.List("web/secrets"); err != nil {
		t.Errorf("names of secrets can be listed: %v", err)
	}
	st, err := f.Stat("web/local/page.html")
	if err != nil || st.Size != 13 || !strings.HasPrefix(st.ContentType, "text/html") {
		t.Errorf("stat: %+v, %v", st, err)
	}
}

func TestMoveData(t *testing.T) {
	prev, next := build(t), build(t)
	for _, p := range []string{"alloc/data/d", "web/local/l", "web/tmp/gone"} {
		if err := os.WriteFile(filepath.Join(prev.Root, p), []byte(p), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := next.MoveData(prev, []string{"web", "absent"}); err != nil {
		t.Fatal(err)
	}
	for p, there := range map[string]bool{"alloc/data/d": true, "web/local/l": true, "web/tmp/gone": false} {
		if _, err := os.Stat(filepath.Join(next.Root, p)); (err == nil) != there {
			t.Errorf("%s: %v, want there %v", p, err, there)
		}
	}
}
