package engine

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// module is the Go module of the engine.
const module = "github.com/tetratelabs/wazero"

// Version is the engine's version, such as "1.12.0", as recorded in the binary; "0.0.0" if it is not, as in tests.
var Version = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return strings.TrimPrefix(dependency.Version, "v")
			}
		}
	}
	return "0.0.0"
})

// Supported says why modules cannot be compiled for this machine, or nil if they can.
var Supported = sync.OnceValue(func() (err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("modules cannot be compiled to machine code for %s/%s on this processor", runtime.GOOS, runtime.GOARCH)
		}
	}()
	ctx := context.Background()
	r, err := New(ctx, Options{})
	if err != nil {
		return err
	}
	return r.Close(ctx)
})
