package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// initializeExport is what a module without _start (a "reactor") wants called before anything else.
const initializeExport = "_initialize"

// features are the proposals that modules may use.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst

// Features lists the names of the WebAssembly proposals that modules may use, beyond version 1 of the standard.
func Features() []string {
	return strings.Split(features.String(), "|")
}

// wazeroRuntime implements Runtime.
type wazeroRuntime struct {
	runtime  wazero.Runtime
	cache    wazero.CompilationCache // nil: none
	wasi     wazero.CompiledModule
	cacheDir string
	limit    uint64
	workers  int
}

// New returns a runtime that compiles to machine code.
func New(ctx context.Context, options Options) (Runtime, error) {
	const pages = 1 << 16
	limit := options.MemoryLimit / PageSize
	switch {
	case options.MemoryLimit == 0 || limit > pages:
		limit = pages
	case limit == 0:
		return nil, fmt.Errorf("start WebAssembly engine: a memory limit of %d bytes is less than one page of %d", options.MemoryLimit, PageSize)
	}
	config := wazero.NewRuntimeConfigCompiler().WithCoreFeatures(features).WithMemoryLimitPages(uint32(limit))
	r := &wazeroRuntime{cacheDir: options.CacheDir, limit: limit * PageSize, workers: max(options.Workers, 1)}
	if options.CacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(options.CacheDir)
		if err != nil {
			return nil, fmt.Errorf("open compile cache %s: %w", options.CacheDir, err)
		}
		r.cache = cache
		config = config.WithCompilationCache(cache)
	}
	r.runtime = wazero.NewRuntimeWithConfig(ctx, config)
	wasi, err := buildWASI(r.runtime).Compile(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("define WASI functions: %w", err), r.Close(ctx))
	}
	r.wasi = wasi
	return r, nil
}

// Close frees the runtime, its instances and its view of the cache.
func (r *wazeroRuntime) Close(ctx context.Context) error {
	err := r.runtime.Close(ctx)
	if r.cache != nil {
		err = errors.Join(err, r.cache.Close(ctx))
	}
	return err
}

// Compile implements Runtime.
func (r *wazeroRuntime) Compile(ctx context.Context, binary []byte) (Module, error) {
	if err := inspectHeader(binary); err != nil {
		return nil, err
	}
	if err := inspectSections(binary); err != nil {
		return nil, err
	}
	compiled, err := r.runtime.CompileModule(experimental.WithCompilationWorkers(ctx, r.workers), binary)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("compile module: %w", err)
		}
		return nil, r.refuse(err)
	}
	m := &wazeroModule{runtime: r, compiled: compiled}
	if r.cacheDir != "" {
		m.shared = shareCode(r.cacheDir) == nil
	}
	return m, nil
}

// refuse turns the engine's complaint about a module into advice.
func (r *wazeroRuntime) refuse(err error) error {
	refused := &RefusedError{Reason: "invalid WebAssembly module: " + strings.ReplaceAll(err.Error(), "\n", " ")}
	switch text := err.Error(); {
	case strings.Contains(text, "memory") && strings.Contains(text, "over limit"):
		refused.Reason = fmt.Sprintf("the module starts with more memory than the %d MiB it may have", r.limit>>20)
		refused.Advice = "raise the memory of the task's resources"
	case strings.Contains(text, "disabled"):
		refused.Advice = "build it without that feature; supported are " + strings.Join(Features(), ", ")
	}
	return refused
}

// wazeroModule implements Module.
type wazeroModule struct {
	runtime  *wazeroRuntime
	compiled wazero.CompiledModule
	shared   bool // its machine code is mapped from the cache
	ran      atomic.Bool
}

// Describe implements Module.
func (m *wazeroModule) Describe() Description {
	d := Description{CodeShared: m.shared}
	for name := range m.compiled.ExportedFunctions() {
		d.Exports = append(d.Exports, name)
	}
	for _, f := range m.compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		d.Imports = append(d.Imports, module+"."+name)
	}
	for _, memory := range m.compiled.ImportedMemories() {
		module, name, _ := memory.Import()
		d.Imports = append(d.Imports, module+"."+name)
	}
	for _, memory := range m.compiled.ExportedMemories() {
		d.MinMemory = uint64(memory.Min()) * PageSize
	}
	slices.Sort(d.Exports)
	slices.Sort(d.Imports)
	d.Imports = slices.Compact(d.Imports)
	return d
}

// Check implements Module.
func (m *wazeroModule) Check(entrypoint string) error {
	if missing := m.missingImports(); len(missing) > 0 {
		return &RefusedError{
			Reason: "the module imports what is not offered: " + strings.Join(missing, ", "),
			Advice: "only functions of " + wasi_snapshot_preview1.ModuleName + " are; build it for WASI preview 1 and without host-specific bindings",
		}
	}
	if entrypoint == "" {
		entrypoint = DefaultEntrypoint
	}
	definition, ok := m.compiled.ExportedFunctions()[entrypoint]
	if !ok {
		exports := m.Describe().Exports
		refused := &RefusedError{
			Reason: fmt.Sprintf("the module exports no function %q", entrypoint),
			Advice: "it exports no function at all: build it as a command with an entry point",
		}
		if len(exports) > 0 {
			refused.Advice = "set entrypoint to one that it exports: " + strings.Join(exports, ", ")
		}
		return refused
	}
	results := definition.ResultTypes()
	if len(definition.ParamTypes()) > 0 || len(results) > 1 || len(results) == 1 && results[0] != api.ValueTypeI32 {
		return &RefusedError{
			Reason: fmt.Sprintf("the exported function %q cannot be an entrypoint", entrypoint),
			Advice: "an entrypoint takes no parameters and returns nothing or an i32, the exit code",
		}
	}
	return nil
}

// missingImports lists what the module wants and nobody offers, sorted.
func (m *wazeroModule) missingImports() []string {
	offered := m.runtime.wasi.ExportedFunctions()
	var missing []string
	for _, f := range m.compiled.ImportedFunctions() {
		module, name, _ := f.Import()
		if _, ok := offered[name]; !ok || module != wasi_snapshot_preview1.ModuleName {
			missing = append(missing, module+"."+name)
		}
	}
	for _, memory := range m.compiled.ImportedMemories() {
		module, name, _ := memory.Import()
		missing = append(missing, module+"."+name+" (a memory)")
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

// Run implements Module.
func (m *wazeroModule) Run(ctx context.Context, config Config) (uint32, error) {
	defer func() {
		for _, listener := range config.Listeners {
			_ = listener.Close()
		}
		for _, mount := range config.Mounts {
			_ = mount.Root.Close()
		}
	}()
	if m.ran.Swap(true) {
		return 0, errors.New("run module: it has been run before")
	}
	if err := m.Check(config.Entrypoint); err != nil {
		return 0, err
	}
	r := m.runtime.runtime
	wasi, err := r.InstantiateModule(ctx, m.runtime.wasi, wazero.NewModuleConfig().WithName(wasi_snapshot_preview1.ModuleName))
	if err != nil {
		return 0, fmt.Errorf("instantiate WASI functions: %w", err)
	}
	defer wasi.Close(ctx)

	g := &guest{clock: newClock(config.Clock), stdin: -1, listeners: config.Listeners}
	if config.Stdin != nil {
		g.stdin = int(config.Stdin.Fd())
	}
	ctx = context.WithValue(ctx, guestKey{}, g)
	ctx = experimental.WithMemoryAllocator(ctx, experimental.MemoryAllocatorFunc(allocateMemory))
	instance, err := r.InstantiateModule(ctx, m.compiled, moduleConfig(config, g.clock))
	if err != nil {
		return exitCode(err, config.Name, "instantiate module")
	}
	defer instance.Close(ctx)
	if err := g.open(instance); err != nil {
		return 0, fmt.Errorf("hand over sockets: %w", err)
	}
	release(instance)

	entrypoint := config.Entrypoint
	if entrypoint == "" {
		entrypoint = DefaultEntrypoint
	}
	if initialize := instance.ExportedFunction(initializeExport); initialize != nil && entrypoint != DefaultEntrypoint {
		if _, err := initialize.Call(ctx); err != nil {
			return exitCode(err, config.Name, "call "+initializeExport)
		}
	}
	results, err := instance.ExportedFunction(entrypoint).Call(ctx)
	if err != nil {
		return exitCode(err, config.Name, "call "+entrypoint)
	}
	if len(results) == 1 {
		return uint32(results[0]), nil
	}
	return 0, nil
}

// moduleConfig translates what a guest gets into the engine's terms.
func moduleConfig(config Config, clock *clock) wazero.ModuleConfig {
	files := wazero.NewFSConfig()
	for i := range config.Listeners {
		// Place-holders, see newDescriptors. No guest sees the names, but they must differ.
		files = files.(sysfs.FSConfig).WithSysFSMount(oneFile{}, fmt.Sprintf("/socket-%d", i))
	}
	for _, mount := range config.Mounts {
		files = files.(sysfs.FSConfig).WithSysFSMount(&rootFS{root: mount.Root, readOnly: mount.ReadOnly}, mount.Path)
	}
	c := wazero.NewModuleConfig().
		WithName(config.Name).
		WithArgs(config.Args...).
		WithStartFunctions().
		WithStdout(config.Stdout).
		WithStderr(config.Stderr).
		WithFSConfig(files).
		WithWalltime(clock.walltime, sys.ClockResolution(1)).
		WithNanotime(clock.nanotime, sys.ClockResolution(1)).
		WithNanosleep(clock.sleep).
		WithRandSource(randomSource(config.Random))
	if config.Stdin != nil {
		c = c.WithStdin(config.Stdin)
	}
	for _, pair := range config.Env {
		key, value, _ := strings.Cut(pair, "=")
		c = c.WithEnv(key, value)
	}
	return c
}

// randomSource returns the guest's source of random bytes.
func randomSource(config Random) io.Reader {
	if !config.Fixed {
		return systemRandom{}
	}
	var seed [32]byte
	le.PutUint64(seed[:], config.Seed)
	return rand.NewChaCha8(seed)
}

// exitCode translates how a call into the guest ended.
func exitCode(err error, name, operation string) (uint32, error) {
	var exit *sys.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	if trap := parseTrap(err, name); trap != nil {
		return 0, trap
	}
	return 0, fmt.Errorf("%s: %w", operation, err)
}
