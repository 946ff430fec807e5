package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/posener/complete"

	"github.com/seraiproject/serai/core/apiclient"
)

func status() *leaf {
	return &leaf{
		words: "status", synopsis: "Show whatever an identifier belongs to",
		args: "[options] <identifier>", maxArgs: 1, wants: "either no arguments or one: <identifier>",
		prose: `Shows whatever the identifier, or the beginning of one, belongs to: a job, an allocation, an evaluation, a node or a deployment. Without an identifier, the jobs are listed.

With ACLs, the capabilities of the matching status command are needed.`,
		complete: func(s *session) complete.Predictor {
			return s.predict(func(ctx context.Context, prefix string) []string {
				found, err := s.api.Search(ctx, prefix, "all", nil)
				if err != nil {
					return nil
				}
				var out []string
				for _, ids := range found.Matches {
					out = append(out, ids...)
				}
				return out
			})
		},
		setup: func(f *flags) func(*session) int {
			verbose := f.flagBool("verbose", "Show whole IDs and more.", false)
			ui := f.uiFlag()
			return func(s *session) int {
				s.noUI(*ui)
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				if len(s.args) == 0 {
					return s.jobList(ctx)
				}
				return s.route(ctx, s.args[0], *verbose)
			}
		},
	}
}

// contexts of the search and the commands that show what they find.
var contexts = []struct {
	name    string
	title   string
	command func() *leaf // nil: nothing shows it
}{
	{"jobs", "Jobs", jobStatus},
	{"allocs", "Allocs", allocStatus},
	{"evals", "Evals", evalStatus},
	{"nodes", "Nodes", nodeStatus},
	{"deployment", "Deployments", deploymentStatus},
	{"namespaces", "Namespaces", nil},
	{"node_pools", "Node_pools", nil},
}

// route finds out what an identifier belongs to and shows it.
func (s *session) route(ctx context.Context, id string, verbose bool) int {
	found, err := s.api.Search(ctx, id, "all", &apiclient.Query{})
	if err != nil {
		return s.fail("Error querying search with id: %q: %v", id, err)
	}
	var command func() *leaf
	target, hits := "", 0
	var listing strings.Builder
	for _, c := range contexts {
		ids := found.Matches[c.name]
		if c.name == "deployment" {
			ids = append(ids, found.Matches["deployments"]...)
		}
		if len(ids) == 0 {
			continue
		}
		if c.name == "jobs" && slices.Contains(ids, id) {
			command, target, hits = c.command, id, 1
			break
		}
		// A pool or namespace that shares its name with something that can be
		// shown does not stand in the way.
		if c.command == nil && hits > 0 {
			continue
		}
		fmt.Fprintf(&listing, "\n%s:\n%s\n", c.title, strings.Join(ids, ", "))
		hits += len(ids)
		command, target = c.command, ids[0]
	}
	switch {
	case hits == 0 || hits == 1 && command == nil:
		return s.fail("Unable to resolve ID: %q", id)
	case hits > 1:
		return s.fail("Multiple matches found for id %q\n%s", id, strings.TrimSuffix(listing.String(), "\n"))
	}
	l := command()
	sub := &session{deps: s.deps, leaf: l, flags: newFlags(l.words), general: s.general, color: s.color, api: s.api, args: []string{target}}
	do := l.setup(sub.flags)
	if verbose {
		if err := sub.flags.Set("verbose", "true"); err != nil {
			return s.fail("%v", err)
		}
	}
	return do(sub)
}
