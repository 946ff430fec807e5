// Package version says which Serai this is.
package version

import "runtime/debug"

// Version is set by the build (make VERSION=1.2.3).
var Version = "0.1.0-dev"

// Compat is the version of the API and of the job specification that Serai
// keeps to. Nodes report it as nomad.version, which constraints compare with.
const Compat = "2.0.6"

// Revision is the commit that the binary was built from, or "".
func Revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
