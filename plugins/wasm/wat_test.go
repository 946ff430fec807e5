package wasm_test

import (
	"os"
	"path/filepath"
	"testing"
)

// section encodes a section of a module. All sizes here are below 128: one byte each.
func section(id byte, content ...byte) []byte {
	return append([]byte{id, byte(len(content))}, content...)
}

func name(s string) []byte { return append([]byte{byte(len(s))}, s...) }

func join(parts ...[]byte) []byte {
	var all []byte
	for _, part := range parts {
		all = append(all, part...)
	}
	return all
}

var header = []byte("\x00asm\x01\x00\x00\x00")

// trapModule is a module whose _start calls "outer", which calls "inner", which executes unreachable. It also exports
// "answer", which returns 42.
func trapModule() []byte {
	return join(header,
		section(1, 2, 0x60, 0, 0, 0x60, 0, 1, 0x7f), // types: () → (), () → i32
		section(3, 4, 0, 0, 0, 1),                   // functions: inner, outer, _start, answer
		section(7, join([]byte{2}, name("_start"), []byte{0, 2}, name("answer"), []byte{0, 3})...),
		section(10, 4,
			3, 0, 0x00, 0x0b, // unreachable
			4, 0, 0x10, 0, 0x0b, // call 0
			4, 0, 0x10, 1, 0x0b, // call 1
			4, 0, 0x41, 42, 0x0b), // i32.const 42
		section(0, join(name("name"), []byte{1, 15, 2, 0}, name("inner"), []byte{1}, name("outer"))...),
	)
}

// importModule imports a function that nobody offers.
func importModule() []byte {
	return join(header,
		section(1, 1, 0x60, 0, 0),
		section(2, join([]byte{1}, name("env"), name("magic"), []byte{0, 0})...),
		section(7, join([]byte{1}, name("_start"), []byte{0, 0})...),
	)
}

// libraryModule has no _start.
func libraryModule() []byte {
	return join(header,
		section(1, 1, 0x60, 1, 0x7f, 0), // (i32) → ()
		section(3, 1, 0),
		section(7, join([]byte{1}, name("work"), []byte{0, 0})...),
		section(10, 1, 2, 0, 0x0b),
	)
}

// write puts a module into the folder of modules.
func write(t *testing.T, file string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(modules, file), content, 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}
