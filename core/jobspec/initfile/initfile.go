// Package initfile holds the job files that "job init" writes: examples that
// run as they are and explain themselves.
package initfile

import (
	"embed"
	"fmt"
)

//go:embed templates
var templates embed.FS

// A Kind is what an example shows.
type Kind string

const (
	// Exec is a shell command under the exec driver; it needs nothing that a
	// machine does not have.
	Exec Kind = "exec"
	// Wasm is the WebAssembly web service that is built with Serai.
	Wasm Kind = "wasm"
	// Docker is a container; it needs a docker driver and a registry.
	Docker Kind = "docker"
	// Connect is two containers joined by a service mesh.
	Connect Kind = "connect"
)

// DefaultName is the file that "job init" writes unless told otherwise.
const DefaultName = "example.nomad.hcl"

// Kinds lists all kinds, the default first.
func Kinds() []Kind { return []Kind{Exec, Wasm, Docker, Connect} }

// Source is the text of an example; short leaves out comments and what is not
// essential.
func Source(kind Kind, short bool) ([]byte, error) {
	name := "templates/" + string(kind)
	if short {
		name += "-short"
	}
	src, err := templates.ReadFile(name + ".nomad.hcl")
	if err != nil {
		return nil, fmt.Errorf("job init: no example of kind %q", kind)
	}
	return src, nil
}
