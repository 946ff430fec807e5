package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// magic opens every WebAssembly binary. It is followed by a version and a layer, 16 bits each, little-endian: version
// 1 layer 0 is a core module, layer 1 a component, whatever its version.
var magic = []byte("\x00asm")

const (
	coreVersion    = 1
	coreLayer      = 0
	componentLayer = 1
)

// inspectHeader refuses what is not a core module.
func inspectHeader(module []byte) error {
	if len(module) < 8 || !bytes.HasPrefix(module, magic) {
		return &RefusedError{
			Reason: "not a WebAssembly module: " + describeStart(module),
			Advice: "build a core module for WASI preview 1 (Go: GOOS=wasip1 GOARCH=wasm, Rust: --target wasm32-wasip1, C: wasi-sdk)",
		}
	}
	version := binary.LittleEndian.Uint16(module[4:])
	layer := binary.LittleEndian.Uint16(module[6:])
	switch {
	case layer == componentLayer:
		return &RefusedError{
			Reason: "this is a component (component model, WASI preview 2 or later); only core modules for WASI preview 1 can be run",
			Advice: "build for preview 1 instead (Rust: --target wasm32-wasip1, Go: GOOS=wasip1, TinyGo: -target=wasip1, C: --target=wasm32-wasip1)" +
				", or take the core module that went into the component, before wasm-tools component new",
		}
	case layer != coreLayer || version != coreVersion:
		return &RefusedError{
			Reason: fmt.Sprintf("unknown WebAssembly binary format: version %d, layer %d", version, layer),
			Advice: "build a core module of version 1",
		}
	}
	return nil
}

// Sections that hold a vector, whose count opens them: types, imports, functions, tables, memories, globals, exports,
// elements, code and data.
var vectorSections = map[byte]bool{1: true, 2: true, 3: true, 4: true, 5: true, 6: true, 7: true, 9: true, 10: true, 11: true}

// inspectSections refuses a module whose sections reach beyond its end, or claim more elements than they have bytes. The
// engine takes such a number at its word and reserves memory for it: some dozen bytes would cost it gigabytes.
func inspectSections(module []byte) error {
	invalid := func(what string, at int) error {
		return &RefusedError{Reason: fmt.Sprintf("invalid WebAssembly module: %s at byte %d", what, at), Advice: "build it again, or check its transfer"}
	}
	for at := 8; at < len(module); {
		id := module[at]
		size, n := binary.Uvarint(module[at+1:])
		start := at + 1 + n
		if n <= 0 || size > uint64(len(module)-start) {
			return invalid("a section reaches beyond the end", at)
		}
		content := module[start : start+int(size)]
		if count, n := binary.Uvarint(content); vectorSections[id] && (n <= 0 || count > size) {
			return invalid("a section claims more elements than it can hold", at)
		}
		at = start + int(size)
	}
	return nil
}

// describeStart says what a file that is no WebAssembly binary looks like.
func describeStart(content []byte) string {
	switch {
	case len(content) == 0:
		return "the file is empty"
	case bytes.HasPrefix(content, []byte("(module")), bytes.HasPrefix(content, []byte("(component")):
		return "the file is in the text format (translate it with wat2wasm or wasm-tools parse)"
	case bytes.HasPrefix(content, []byte("\x7fELF")):
		return "the file is an ELF binary of the host"
	case bytes.HasPrefix(content, []byte("\x1f\x8b")):
		return "the file is compressed with gzip"
	case len(content) < 8:
		return fmt.Sprintf("the file has only %d bytes", len(content))
	}
	return fmt.Sprintf("the file starts with %q", content[:4])
}
