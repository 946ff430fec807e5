package engine

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The engine reads machine code from its cache into private memory, so that ten tasks of one module hold ten copies of it,
// tens of megabytes each for a large module, of which a guest executes a small part. shareCode replaces such a copy by a
// mapping of a file with the same bytes: all processes then share the pages, and those never executed take no memory.
//
// It works from outside of the engine, on what the kernel says is mapped, and changes nothing unless the bytes are equal.
// Where anything is not as expected, the private copy stays: sharing is only ever an economy.

// codeFile is the name, in a module's cache directory, of the file that holds nothing but its machine code.
const codeFile = "code"

// shareCode shares a module's code that was just loaded.
func shareCode(cacheDir string) error {
	code, err := openCode(cacheDir)
	if err != nil {
		return err
	}
	defer code.Close()
	info, err := code.Stat()
	if err != nil {
		return err
	}
	page := int64(os.Getpagesize())
	size := (info.Size() + page - 1) / page * page
	head := make([]byte, min(info.Size(), 256))
	if _, err := code.ReadAt(head, 0); err != nil {
		return err
	}
	regions, err := codeRegions()
	if err != nil {
		return err
	}
	for _, r := range regions {
		// The kernel shows neighbouring regions as one: the code may begin with any page.
		for start := r.start; start+uintptr(size) <= r.end; start += uintptr(page) {
			if !bytes.Equal(memory(start, int64(len(head))), head) {
				continue
			}
			same, err := sameBytes(code, start, info.Size())
			if err != nil {
				return err
			}
			if same {
				return mapOver(code, start, uintptr(size))
			}
		}
	}
	return errors.New("the code was not found in memory")
}

// memory is what lies at an address. It is not Go's own: it is read, not kept.
func memory(start uintptr, size int64) []byte {
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&start))), size)
}

// region is a range of addresses.
type region struct{ start, end uintptr }

// codeRegions lists what this process can execute and no file is behind.
func codeRegions() ([]region, error) {
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, err
	}
	defer maps.Close()
	var regions []region
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		// Address range, permissions, offset, device, inode and, for files and the kernel's own pages, a name.
		fields := strings.Fields(lines.Text())
		if len(fields) != 5 || fields[1] != "r-xp" {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		start, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		regions = append(regions, region{uintptr(start), uintptr(end)})
	}
	return regions, lines.Err()
}

// sameBytes compares a file with memory.
func sameBytes(f *os.File, start uintptr, size int64) (bool, error) {
	loaded := memory(start, size)
	buf := make([]byte, 256<<10)
	for at := int64(0); at < size; {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), size-at)], at)
		if n == 0 || err != nil && !errors.Is(err, io.EOF) {
			return false, errors.Join(err, io.ErrUnexpectedEOF)
		}
		if !bytes.Equal(buf[:n], loaded[at:at+int64(n)]) {
			return false, nil
		}
		at += int64(n)
	}
	return true, nil
}

// mapOver puts a file into the place of private memory, in one step.
func mapOver(f *os.File, start, size uintptr) error {
	_, _, number := unix.Syscall6(unix.SYS_MMAP, start, size, unix.PROT_READ|unix.PROT_EXEC,
		unix.MAP_PRIVATE|unix.MAP_FIXED, f.Fd(), 0)
	if number != 0 {
		return os.NewSyscallError("mmap", number)
	}
	return nil
}

// openCode opens a module's code file, and makes it from the engine's cache entry if there is none.
func openCode(cacheDir string) (*os.File, error) {
	name := filepath.Join(cacheDir, codeFile)
	f, err := os.Open(name)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return f, err
	}
	entries, err := filepath.Glob(filepath.Join(cacheDir, "wazero-*", "*"))
	entries = slices.DeleteFunc(entries, func(name string) bool { return strings.HasSuffix(name, ".tmp") })
	if err != nil || len(entries) != 1 {
		return nil, fmt.Errorf("%d entries in %s: %w", len(entries), cacheDir, errors.Join(err, errCacheEntry))
	}
	entry, err := os.Open(entries[0])
	if err != nil {
		return nil, err
	}
	defer entry.Close()
	code, err := entryCode(entry)
	if err != nil {
		return nil, err
	}
	temporary, err := os.CreateTemp(cacheDir, codeFile+".*.tmp")
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(temporary, code)
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), name)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(temporary.Name()))
	}
	return os.Open(name)
}

var errCacheEntry = errors.New("not a cache entry of the expected form")

// entryCode finds the machine code in a cache entry: a magic word, the length of a version and the version, the number of
// functions (32 bits), their offsets (64 bits each), the length of the code (64 bits), the code.
func entryCode(f *os.File) (io.Reader, error) {
	const word = "WAZEVO"
	r := bufio.NewReader(f)
	head := make([]byte, len(word)+1)
	if _, err := io.ReadFull(r, head); err != nil || string(head[:len(word)]) != word {
		return nil, errors.Join(errCacheEntry, err)
	}
	if _, err := r.Discard(int(head[len(word)])); err != nil {
		return nil, errors.Join(errCacheEntry, err)
	}
	var functions uint32
	if err := binary.Read(r, binary.LittleEndian, &functions); err != nil {
		return nil, errors.Join(errCacheEntry, err)
	}
	if _, err := r.Discard(8 * int(functions)); err != nil {
		return nil, errors.Join(errCacheEntry, err)
	}
	var size uint64
	if err := binary.Read(r, binary.LittleEndian, &size); err != nil {
		return nil, errors.Join(errCacheEntry, err)
	}
	info, err := f.Stat()
	if err != nil || size == 0 || size > uint64(info.Size()) {
		return nil, errors.Join(errCacheEntry, err)
	}
	return io.LimitReader(r, int64(size)), nil
}
