package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/seraiproject/serai/plugins/wasm/engine"
)

// CompileRequest asks for a module to be checked and its machine code to be put into a cache.
type CompileRequest struct {
	Module      Path   `json:"module"`
	Name        string `json:"name"` // for messages
	CacheDir    string `json:"cache_dir"`
	MemoryLimit uint64 `json:"memory_limit"`
	Entrypoint  string `json:"entrypoint"`
	Workers     int    `json:"workers"`
}

// CompileResult answers it.
type CompileResult struct {
	// Error is empty on success.
	Error string `json:"error,omitempty"`
}

// Compile does the work in a process of its own: compiling takes many times the memory that a task needs afterwards,
// and neither the plugin nor the task should keep it. The process ends with the context.
func Compile(ctx context.Context, request CompileRequest) error {
	input, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("compile module %s: %w", request.Name, err)
	}
	var output, complaints bytes.Buffer
	command := exec.CommandContext(ctx, "/proc/self/exe")
	command.Args = []string{CompileName}
	command.Env = []string{}
	command.Dir = "/"
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(input), &output, &complaints
	if err := command.Run(); err != nil {
		for _, sign := range []string{"out of memory", "cannot allocate memory", "failed to allocate"} {
			if bytes.Contains(complaints.Bytes(), []byte(sign)) {
				return fmt.Errorf("compile module %s: it takes more memory than a module of its size should: the file may be broken", request.Name)
			}
		}
		return fmt.Errorf("compile module %s: %w: %s", request.Name, err, excerpt(complaints.Bytes()))
	}
	var result CompileResult
	if err := json.Unmarshal(output.Bytes(), &result); err != nil {
		return fmt.Errorf("compile module %s: decode answer: %w", request.Name, err)
	}
	if result.Error != "" {
		return errors.New(result.Error)
	}
	return nil
}

// excerpt puts the end of what a process has complained about into one line.
func excerpt(complaints []byte) string {
	const enough = 512
	return strings.Join(strings.Fields(string(complaints[max(len(complaints)-enough, 0):])), " ")
}

// compile is the other side of Compile. It returns the exit status.
func compile(input io.Reader, output io.Writer) int {
	var request CompileRequest
	if err := json.NewDecoder(input).Decode(&request); err != nil {
		fmt.Fprintln(os.Stderr, "decode request:", err)
		return 1
	}
	var result CompileResult
	if err := compileModule(request); err != nil {
		result.Error = err.Error()
	}
	if err := json.NewEncoder(output).Encode(result); err != nil {
		fmt.Fprintln(os.Stderr, "encode answer:", err)
		return 1
	}
	return 0
}

func compileModule(request CompileRequest) error {
	f, err := request.Module.Open()
	if err != nil {
		return fmt.Errorf("open module: %w", err)
	}
	defer f.Close()
	if err := limitMemory(f); err != nil {
		return err
	}
	binary, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("read module %s: %w", request.Module, err)
	}
	ctx := context.Background()
	runtime, err := engine.New(ctx, engine.Options{
		CacheDir: request.CacheDir, MemoryLimit: request.MemoryLimit, Workers: request.Workers,
	})
	if err != nil {
		return err
	}
	defer runtime.Close(ctx)
	module, err := runtime.Compile(ctx, binary)
	if err == nil {
		err = module.Check(request.Entrypoint)
	}
	if err != nil {
		return fmt.Errorf("module %s: %w", request.Name, err)
	}
	return nil
}

// Compiling a module takes about twenty times its size. What asks for much more is broken or means harm.
const (
	compileMemoryBase   = 512 << 20
	compileMemoryFactor = 64
)

// limitMemory bounds the memory of this process by the size of the module it is to compile.
func limitMemory(module *os.File) error {
	info, err := module.Stat()
	if err != nil {
		return fmt.Errorf("open module: %w", err)
	}
	limit := uint64(compileMemoryBase + compileMemoryFactor*info.Size())
	if err := unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit}); err != nil {
		return fmt.Errorf("limit memory for compiling: %w", err)
	}
	return nil
}
