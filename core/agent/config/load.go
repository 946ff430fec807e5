package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Options say what [Load] reads.
type Options struct {
	// Dev starts from the defaults of development mode.
	Dev bool
	// Paths are files and folders, later ones stronger.
	Paths []string
	// Overrides come from the command line and are stronger than any file.
	Overrides []Override
}

// Override is one setting from the command line: a dotted path of keys as in a
// file ("client.meta.rack") and its text. Unlike in a file, false and zero
// overwrite. For a list, the text is one more element.
type Override struct {
	Path  string
	Value string
}

// Load reads, merges, completes and checks a configuration. The error, if any,
// joins everything found wrong, each with its file, line and column or its path
// of keys. Without an error the Config is ready for an agent, and its Warnings
// are for the operator to see.
func Load(o Options) (*Config, error) {
	c, err := Read(o)
	if err != nil {
		return nil, err
	}
	if err := c.Resolve(); err != nil {
		return nil, err
	}
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// Read reads and merges like [Load] but neither completes nor checks.
func Read(o Options) (*Config, error) {
	c := Default()
	if o.Dev {
		c = Dev()
	}
	for _, path := range o.Paths {
		files, err := expand(path)
		if err != nil {
			return nil, fmt.Errorf("loading configuration from %s: %w", path, err)
		}
		for _, f := range files {
			src, err := os.ReadFile(f)
			if err != nil {
				return nil, fmt.Errorf("loading configuration from %s: %w", path, err)
			}
			if err := c.Apply(f, src); err != nil {
				return nil, fmt.Errorf("loading configuration from %s: %w", path, err)
			}
		}
	}
	d := &decoder{}
	for _, ov := range o.Overrides {
		d.override(c, ov)
	}
	c.Warnings = append(c.Warnings, d.warnings...)
	return c, errors.Join(d.errs...)
}

// Apply merges one file's text over c. path names the file in messages and
// chooses the syntax: JSON for ".json", HCL otherwise.
func (c *Config) Apply(path string, src []byte) error {
	root, err := parse(path, src)
	if err != nil {
		return err
	}
	d := &decoder{}
	d.block(valueOf(c), root, "", tag{})
	c.Warnings = append(c.Warnings, d.warnings...)
	c.Files = append(c.Files, path)
	return errors.Join(d.errs...)
}

// expand lists the files a -config argument stands for.
func expand(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || strings.HasPrefix(name, "#") {
			continue
		}
		if ext := filepath.Ext(name); ext == ".hcl" || ext == ".json" {
			files = append(files, filepath.Join(path, name))
		}
	}
	slices.Sort(files)
	return files, nil
}
