//go:build guest

package guest

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seraiproject/serai/test/guest/initramfs"
)

// root is the module's folder, from here.
const root = "../.."

// patience bounds the life of the guest.
const patience = 5 * time.Minute

var (
	//go:embed testdata/init
	initScript []byte
	//go:embed testdata/start
	startScript []byte
)

// What inside/ finds wrong on a machine with cgroup v2 only is an error here.
func TestCgroupV2(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Fatalf("the guest is an x86-64 machine and would not run programs built for %s", runtime.GOARCH)
	}
	emulator := program(t, "qemu-system-x86_64", "qemu-system-x86")
	busybox := program(t, "busybox", "busybox-static")
	kernel := findKernel(t)
	image := filepath.Join(t.TempDir(), "initramfs")
	pack(t, image, busybox)

	t.Logf("kernel %s", kernel)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// Emulated in software even where there is a hypervisor: it is the same
	// everywhere, and quick enough.
	qemu := exec.CommandContext(ctx, emulator, "-accel", "tcg", "-cpu", "max", "-m", "1024", "-smp", "2",
		"-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", kernel, "-initrd", image,
		"-append", "console=ttyS0 quiet panic=-1 cgroup_no_v1=all TESTS="+cmp.Or(os.Getenv("SERAI_GUEST_RUN"), "."))
	var diagnosis bytes.Buffer
	qemu.Stderr = &diagnosis
	console, err := qemu.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := qemu.Start(); err != nil {
		t.Fatal(err)
	}
	verdict := relay(t, console)
	if err := qemu.Wait(); err != nil {
		t.Errorf("%s: %v, %s", filepath.Base(emulator), cmp.Or(context.Cause(ctx), err), diagnosis.Bytes())
	}
	if want := "guest: tests ended with status 0"; verdict != want {
		t.Errorf("the guest's verdict is %q, want %q", verdict, want)
	}
}

// failure is how a test of the guest tells that it failed.
var failure = regexp.MustCompile(`^\s*--- FAIL: (\S+)`)

// relay shows what the guest says, until it is switched off, and returns what
// it says of all tests.
func relay(t *testing.T, console io.Reader) (verdict string) {
	passed := 0
	lines := bufio.NewScanner(console)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := strings.TrimRight(lines.Text(), "\r ")
		if line == "" {
			continue
		}
		t.Log(line)
		if strings.HasPrefix(line, "guest: tests ended") {
			verdict = line
		}
		if m := failure.FindStringSubmatch(line); m != nil {
			t.Errorf("%s failed in the guest", m[1])
		}
		if strings.HasPrefix(line, "--- PASS: ") {
			passed++
		}
	}
	if err := lines.Err(); err != nil {
		t.Errorf("read the guest's console: %v", err)
	}
	if passed == 0 {
		t.Error("no test passed in the guest")
	}
	return verdict
}

// program finds a program of this machine, or says how to get it.
func program(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: run scripts/e2e-deps, or apt-get install %s", err, pkg)
	}
	return path
}

// findKernel looks for a kernel image: the one that is named, one that
// scripts/e2e-deps downloaded, one that is installed.
func findKernel(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("SERAI_GUEST_KERNEL"); path != "" {
		return path
	}
	places := []string{"/boot"}
	if cache, err := os.UserCacheDir(); err == nil {
		places = []string{filepath.Join(cache, "serai", "guest"), "/boot"}
	}
	for _, place := range places {
		found, err := filepath.Glob(filepath.Join(place, "vmlinuz-*"))
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(found)
		for _, path := range slices.Backward(found) {
			if f, err := os.Open(path); err == nil {
				f.Close()
				return path
			}
		}
	}
	t.Fatalf("no readable kernel image vmlinuz-* in %s: run scripts/e2e-deps, which downloads Debian's linux-image-cloud-amd64, "+
		"or set SERAI_GUEST_KERNEL", strings.Join(places, " or "))
	return ""
}

// pack builds the programs and writes the guest's file system to image.
func pack(t *testing.T, image, busybox string) {
	t.Helper()
	f, err := os.Create(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buffer := bufio.NewWriterSize(f, 1<<20)
	w := initramfs.NewWriter(buffer)
	w.File("/init", 0o755, initScript)
	w.File("/guest/start", 0o755, startScript)
	w.Copy("/bin/busybox", busybox)
	w.Link("/bin/sh", "busybox")
	w.Folder("/new")
	w.Folder("/usr/bin")
	w.File("/etc/passwd", 0o644, []byte("root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/sh\n"))
	w.File("/etc/group", 0o644, []byte("root:x:0:\ntty:x:5:\nnogroup:x:65534:\n"))
	w.File("/etc/hosts", 0o644, []byte("127.0.0.1 localhost\n"))
	w.File("/etc/resolv.conf", 0o644, nil)

	dir := t.TempDir()
	shared := map[string]bool{}
	for name, build := range map[string][]string{
		"serai":            {"build", "./cmd/serai"},
		"plugins/exec":     {"build", "./cmd/serai-driver-exec"},
		"plugins/raw_exec": {"build", "./cmd/serai-driver-raw_exec"},
		"process.test":     {"test", "-c", "./pluginsdk/process"},
		"inside.test":      {"test", "-c", "-tags", "inguest", "./test/guest/inside"},
	} {
		bin := filepath.Join(dir, name)
		goTool(t, slices.Insert(build, 1, "-trimpath", "-ldflags", "-s -w", "-o", bin)...)
		w.Copy("/guest/"+name, bin)
		for _, library := range libraries(t, bin) {
			if !shared[library] {
				shared[library] = true
				w.Copy(library, library)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := buffer.Flush(); err != nil {
		t.Fatal(err)
	}
}

// libraries are the files that the dynamic loader maps for a program, itself
// included; none for a static one.
func libraries(t *testing.T, bin string) []string {
	t.Helper()
	out, err := exec.Command("ldd", bin).CombinedOutput()
	if err != nil {
		if strings.Contains(string(out), "not a dynamic executable") {
			return nil
		}
		t.Fatalf("ldd %s: %v, %s", bin, err, out)
	}
	var all []string
	for field := range strings.FieldsSeq(string(out)) {
		if filepath.IsAbs(field) {
			all = append(all, field)
		}
	}
	return all
}

// goTool runs the go tool in the module's folder.
func goTool(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
}
