package wasm

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/seraiproject/serai/plugins/wasm/engine"
	"github.com/seraiproject/serai/plugins/wasm/runner"
)

// cache keeps the machine code of modules on disk, one folder per version of the engine and content of a module. Several
// processes may use it at once: an entry appears whole or not at all.
type cache struct {
	dir string

	mu      sync.Mutex
	modules map[string]*sync.Mutex // by folder: a module is compiled once, not by each task that waits for it
}

// entry is the folder of one module: a copy of it, so that nothing that happens to the original matters to running
// tasks, and its machine code.
type entry struct {
	dir string
	// compiled is how long compiling took; zero if the code was there.
	compiled time.Duration
	// moduleSize and codeSize are in bytes.
	moduleSize, codeSize int64
}

// copyName is the name of a module's copy in its folder.
const copyName = "module.wasm"

// module is the module's copy.
func (e *entry) module() runner.Path { return runner.Path{Base: e.dir, Rel: copyName} }

// prepare makes sure that a module and its machine code are in the cache and that the module can be run.
func (c *cache) prepare(ctx context.Context, spec *runner.Spec) (entry, error) {
	e, err := c.locate(spec.Module)
	if err != nil {
		return e, err
	}
	lock := c.lock(e.dir)
	lock.Lock()
	defer lock.Unlock()
	if e.codeSize = codeSize(e.dir); e.codeSize > 0 && exists(e.module()) {
		now := time.Now()
		_ = os.Chtimes(e.dir, now, now) // for prune; it matters little if it fails
		return e, nil
	}
	c.prune(time.Now().Add(-keepUnused))
	if err := e.copy(spec.Module); err != nil {
		return e, fmt.Errorf("keep a copy of module %s: %w", spec.Module, err)
	}
	start := time.Now()
	err = runner.Compile(ctx, runner.CompileRequest{
		Module: e.module(), Name: spec.Name, CacheDir: e.dir, MemoryLimit: spec.MemoryLimit, Entrypoint: spec.Entrypoint,
		Workers: compileWorkers(),
	})
	e.compiled, e.codeSize = time.Since(start), codeSize(e.dir)
	if err != nil && e.codeSize == 0 {
		err = errors.Join(err, os.RemoveAll(e.dir))
	}
	return e, err
}

// keepUnused is how long a module stays in the cache after its last start.
const keepUnused = 30 * 24 * time.Hour

// prune removes what was last used before a time, of any version of the engine. Tasks that still run have their files open.
func (c *cache) prune(before time.Time) {
	folders, err := filepath.Glob(filepath.Join(c.dir, "wazero-*", "*"))
	if err != nil {
		return
	}
	for _, folder := range folders {
		if info, err := os.Stat(folder); err == nil && info.IsDir() && info.ModTime().Before(before) {
			_ = os.RemoveAll(folder) // or the next time
		}
	}
}

// locate finds the folder of a module by its content.
func (c *cache) locate(module runner.Path) (entry, error) {
	f, err := module.Open()
	if err != nil {
		return entry{}, fmt.Errorf("module: %w", explain(module, err))
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, f)
	if err != nil {
		return entry{}, fmt.Errorf("read module %s: %w", module, err)
	}
	dir := filepath.Join(c.dir, "wazero-"+engine.Version(), hex.EncodeToString(hash.Sum(nil)))
	return entry{dir: dir, moduleSize: size}, nil
}

// copy copies the module into its folder.
func (e *entry) copy(module runner.Path) error {
	// Modules may be private: runners open them before they change to the task's user.
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return err
	}
	from, err := module.Open()
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.CreateTemp(e.dir, copyName+".*.tmp")
	if err != nil {
		return err
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(to, hash), from)
	if err == nil && hex.EncodeToString(hash.Sum(nil)) != filepath.Base(e.dir) {
		err = errors.New("it was changed meanwhile: try again")
	}
	err = errors.Join(err, to.Close())
	if err == nil {
		err = os.Rename(to.Name(), filepath.Join(e.dir, copyName))
	}
	if err != nil {
		return errors.Join(err, os.Remove(to.Name()))
	}
	return nil
}

// lock returns the lock of a folder.
func (c *cache) lock(dir string) *sync.Mutex {
	c.mu.Lock()
	defer c.mu.Unlock()
	lock := c.modules[dir]
	if lock == nil {
		lock = new(sync.Mutex)
		c.modules[dir] = lock
	}
	return lock
}

// codeSize adds up the finished entries of a folder; 0 if there is none. The engine writes an entry under another name
// first.
func codeSize(dir string) int64 {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	if err != nil {
		return 0
	}
	var total int64
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && !strings.HasSuffix(file, ".tmp") {
			total += info.Size()
		}
	}
	return total
}
