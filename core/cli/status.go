package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/posener/complete"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
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

// searchLists does what the search API does, by way of the lists, for agents
// that have no search.
func (s *session) searchLists(ctx context.Context, id string) (*apiclient.Matches, error) {
	found := &apiclient.Matches{Matches: map[string][]string{}}
	var lastErr error
	add := func(name string, ids []string, err error) {
		if err != nil {
			lastErr = err
			return
		}
		for _, i := range ids {
			if strings.HasPrefix(i, id) {
				found.Matches[name] = append(found.Matches[name], i)
			}
		}
	}
	jobs, _, err := s.api.Jobs(ctx, &apiclient.Query{Prefix: id})
	add("jobs", idsOf(jobs, func(j *model.JobListStub) string { return string(j.ID) }), err)
	if hexPrefix(id) {
		q := &apiclient.Query{Prefix: evenPrefix(id), Namespace: model.AllNamespaces}
		allocs, _, err := s.api.Allocations(ctx, q)
		add("allocs", idsOf(allocs, func(a *model.AllocListStub) string { return string(a.ID) }), err)
		evals, _, err := s.api.Evaluations(ctx, q)
		add("evals", idsOf(evals, func(e *model.Evaluation) string { return string(e.ID) }), err)
		nodes, _, err := s.api.Nodes(ctx, q)
		add("nodes", idsOf(nodes, func(n *model.NodeListStub) string { return string(n.ID) }), err)
		deployments, _, err := s.api.Deployments(ctx, q)
		add("deployment", idsOf(deployments, func(d *model.Deployment) string { return string(d.ID) }), err)
	}
	if len(found.Matches) == 0 && lastErr != nil {
		return nil, lastErr
	}
	return found, nil
}

func idsOf[T any](all []T, id func(T) string) []string {
	out := make([]string, len(all))
	for i, o := range all {
		out[i] = id(o)
	}
	return out
}

// hexPrefix reports whether a UUID could begin like this.
func hexPrefix(id string) bool {
	return len(id) >= 2 && len(id) <= 36 && strings.Trim(id, "0123456789abcdefABCDEF-") == ""
}

// route finds out what an identifier belongs to and shows it.
func (s *session) route(ctx context.Context, id string, verbose bool) int {
	found, err := s.api.Search(ctx, id, "all", nil)
	if apiclient.IsNotFound(err) {
		found, err = s.searchLists(ctx, id)
	}
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
