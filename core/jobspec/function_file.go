package jobspec

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// errNoFS is what functions that read files say where they may not.
var errNoFS = errors.New("filesystem function disabled")

// fileFunctions are the functions that read the file system.
func fileFunctions(opts Options) map[string]function.Function {
	// resolve is the place that a path given in a job file means.
	resolve := func(p string) (string, error) {
		if !opts.AllowFS {
			return "", errNoFS
		}
		p, err := expandHome(p)
		if err != nil {
			return "", err
		}
		if !filepath.IsAbs(p) {
			p = filepath.Join(opts.BaseDir, p)
		}
		return p, nil
	}
	read := func(p string) ([]byte, error) {
		p, err := resolve(p)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(p)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() || info.Size() > maxSource {
			return nil, fmt.Errorf("%s is not a regular file of at most %d MiB", p, maxSource>>20)
		}
		return os.ReadFile(p)
	}
	return map[string]function.Function{
		"abspath": stringFunc([]string{"path"}, func(args []string) (string, error) {
			p, err := resolve(args[0])
			if err != nil {
				return "", err
			}
			return filepath.Abs(p)
		}),
		"file": stringFunc([]string{"path"}, func(args []string) (string, error) {
			b, err := read(args[0])
			if err == nil && !utf8.Valid(b) {
				err = errors.New("the file is not text; use filebase64")
			}
			return string(b), err
		}),
		"filebase64": stringFunc([]string{"path"}, func(args []string) (string, error) {
			b, err := read(args[0])
			return base64.StdEncoding.EncodeToString(b), err
		}),
		"fileexists": function.New(&function.Spec{
			Params: []function.Parameter{{Name: "path", Type: cty.String}},
			Type:   function.StaticReturnType(cty.Bool),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				p, err := resolve(args[0].AsString())
				if err != nil {
					return cty.NilVal, err
				}
				info, err := os.Stat(p)
				if errors.Is(err, fs.ErrNotExist) {
					return cty.False, nil
				}
				if err != nil {
					return cty.NilVal, err
				}
				if !info.Mode().IsRegular() {
					return cty.NilVal, fmt.Errorf("%s is not a regular file", p)
				}
				return cty.True, nil
			},
		}),
		"fileset": function.New(&function.Spec{
			Params: []function.Parameter{{Name: "path", Type: cty.String}, {Name: "pattern", Type: cty.String}},
			Type:   function.StaticReturnType(cty.Set(cty.String)),
			Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
				dir, err := resolve(args[0].AsString())
				if err != nil {
					return cty.NilVal, err
				}
				return fileSet(dir, args[1].AsString())
			},
		}),
		"pathexpand": stringFunc([]string{"path"}, func(args []string) (string, error) {
			if !opts.AllowFS {
				return "", errNoFS
			}
			return expandHome(args[0])
		}),
	}
}

// expandHome replaces a leading ~ by the home directory.
func expandHome(p string) (string, error) {
	if p != "~" && !strings.HasPrefix(p, "~/") {
		return p, nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("expand %s: %w", p, err)
	}
	return filepath.Join(home, p[1:]), nil
}

// maxFileSet bounds how many entries fileset looks at.
const maxFileSet = 100_000

// fileSet lists the regular files below dir whose path relative to it matches
// a pattern, in which ** stands for any number of directories and {a,b} for
// alternatives.
func fileSet(dir, pattern string) (cty.Value, error) {
	var globs [][]string
	for _, p := range alternatives(pattern) {
		if _, err := path.Match(p, ""); err != nil {
			return cty.NilVal, function.NewArgErrorf(1, "malformed pattern %s", quoted(p))
		}
		globs = append(globs, strings.Split(path.Clean(p), "/"))
	}
	var found []cty.Value
	looked := 0
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if looked++; looked > maxFileSet {
			return fmt.Errorf("more than %d files", maxFileSet)
		}
		info, err := os.Stat(p) // links count as what they point to
		if err != nil || !info.Mode().IsRegular() {
			return nil
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil {
			return err
		}
		names := strings.Split(filepath.ToSlash(rel), "/")
		for _, g := range globs {
			if matchPath(g, names) {
				found = append(found, cty.StringVal(filepath.ToSlash(rel)))
				break
			}
		}
		return nil
	})
	if err != nil {
		return cty.NilVal, fmt.Errorf("list %s: %w", dir, err)
	}
	if len(found) == 0 {
		return cty.SetValEmpty(cty.String), nil
	}
	return cty.SetVal(found), nil
}

// maxAlternatives bounds what {a,b} in a pattern may multiply to.
const maxAlternatives = 64

// alternatives writes out the first levels of {a,b} of a pattern.
func alternatives(pattern string) []string {
	done, todo := []string(nil), []string{pattern}
	for len(todo) > 0 && len(done)+len(todo) <= maxAlternatives {
		p := todo[0]
		todo = todo[1:]
		end := strings.IndexByte(p, '}')
		if end < 0 {
			done = append(done, p)
			continue
		}
		start := strings.LastIndexByte(p[:end], '{')
		if start < 0 {
			done = append(done, p)
			continue
		}
		for _, choice := range strings.Split(p[start+1:end], ",") {
			todo = append(todo, p[:start]+choice+p[end+1:])
		}
	}
	return append(done, todo...)
}

func matchPath(glob, names []string) bool {
	for len(glob) > 0 {
		if glob[0] == "**" {
			for i := 0; i <= len(names); i++ {
				if matchPath(glob[1:], names[i:]) {
					return true
				}
			}
			return false
		}
		if len(names) == 0 {
			return false
		}
		if ok, err := path.Match(glob[0], names[0]); err != nil || !ok {
			return false
		}
		glob, names = glob[1:], names[1:]
	}
	return len(names) == 0
}
