package cli

import (
	"errors"
	"io/fs"
	"os"

	"github.com/seraiproject/serai/core/jobspec/initfile"
)

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
				name := initfile.DefaultName
				if len(s.args) == 1 {
					name = s.args[0]
				}
				kind := initfile.Exec
				switch {
				case *connect:
					return s.fail("This version has no service mesh, and so no example of one.")
				case *wasm && *docker:
					return s.fail("Only one of -wasm and -docker can be given.")
				case *wasm:
					kind = initfile.Wasm
				case *docker:
					kind = initfile.Docker
				}
				text, err := initfile.Source(kind, *brief)
				if err != nil {
					return s.fail("Failed to read the example: %v", err)
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
