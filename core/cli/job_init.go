package cli

import (
	"embed"
	"errors"
	"io/fs"
	"os"
	"strings"
)

//go:embed example/*.nomad.hcl
var examples embed.FS

// exampleName is the file that 'job init' writes by default.
const exampleName = "example.nomad.hcl"

func jobInit() *leaf {
	return &leaf{
		words: "job init", aliases: []string{"init"}, synopsis: "Write an example job file",
		args: "[options] <filename>", maxArgs: 1, wants: "no arguments or one: <filename>", offline: true,
		prose: `Writes an example job file, "example.nomad.hcl" unless another name is given. The default example needs nothing but the exec driver, so it runs on any Linux machine; -wasm and -docker write one for that driver instead.`,
		setup: func(f *flags) func(*session) int {
			brief := f.flagBool("short", "Leave out the comments.", false)
			wasm := f.flagBool("wasm", "Write an example for the wasm driver.", false)
			docker := f.flagBool("docker", "Write an example for the docker driver.", false)
			connect := f.flagBool("connect", "Write an example with a service mesh.", false)
			return func(s *session) int {
				name := exampleName
				if len(s.args) == 1 {
					name = s.args[0]
				}
				source := "exec"
				switch {
				case *connect:
					return s.fail("This version has no service mesh, and so no example of one.")
				case *wasm && *docker:
					return s.fail("Only one of -wasm and -docker can be given.")
				case *wasm:
					source = "wasm"
				case *docker:
					source = "docker"
				}
				text, err := examples.ReadFile("example/" + source + ".nomad.hcl")
				if err != nil {
					return s.fail("Failed to read the example: %v", err)
				}
				if *brief {
					text = withoutComments(text)
				}
				file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
				if errors.Is(err, fs.ErrExist) {
					return s.fail("Job '%s' already exists", name)
				}
				if err == nil {
					_, err = file.Write(text)
					err = errors.Join(err, file.Close())
				}
				if err != nil {
					return s.fail("Failed to write '%s': %v", name, err)
				}
				s.printf("Example job file written to %s\n", name)
				return exitOK
			}
		},
	}
}

// withoutComments drops comment lines, and the blank lines they leave at the
// start and after an opening brace.
func withoutComments(text []byte) []byte {
	var out []string
	for line := range strings.Lines(string(text)) {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "#") {
			continue
		}
		if trimmed == "" && (len(out) == 0 || strings.TrimSpace(out[len(out)-1]) == "" || strings.HasSuffix(strings.TrimSpace(out[len(out)-1]), "{")) {
			continue
		}
		out = append(out, line)
	}
	return []byte(strings.Join(out, ""))
}
