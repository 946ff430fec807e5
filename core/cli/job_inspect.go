package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/seraiproject/serai/core/apiclient"
	"github.com/seraiproject/serai/core/model"
)

func jobInspect() *leaf {
	return &leaf{
		words: "job inspect", aliases: []string{"inspect"}, synopsis: "Print a job as the servers have it",
		args: "[options] <job>", minArgs: 1, maxArgs: 1, wants: "one argument: <job>",
		prose: `Prints a job as the servers have it, as JSON or, with -hcl, as the text it was submitted as.

With ACLs, the 'read-job' capability is needed.`,
		complete: predictJobs,
		setup: func(f *flags) func(*session) int {
			number := f.flagString("version", "number", "", "Print this version of the job instead of the newest.")
			asHCL := f.flagBool("hcl", "Print the text the job was submitted as.", false)
			withVars := f.flagBool("with-vars", "With -hcl, also print the values of its variables.", false)
			out := f.output()
			return func(s *session) int {
				switch {
				case *asHCL && *out.json:
					return s.fail("can only use one of -hcl or -json")
				case *withVars && !*asHCL:
					return s.fail("can only use -with-vars with -hcl")
				}
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				ref, err := s.job(ctx, s.args[0])
				if err != nil {
					return s.code(err)
				}
				var wanted *uint64
				if *number != "" {
					n, err := strconv.ParseUint(*number, 10, 64)
					if err != nil {
						return s.fail("Error parsing version value %q: %v", *number, err)
					}
					wanted = &n
				}
				if *asHCL {
					return s.printSource(ctx, ref, wanted, *withVars)
				}
				raw, err := s.rawJob(ctx, ref, wanted)
				if err != nil {
					return s.fail("Error inspecting job: %v", err)
				}
				if *out.template != "" {
					var job model.Job
					if err := json.Unmarshal(raw, &job); err != nil {
						return s.fail("Error formatting the data: %v", err)
					}
					return s.render(out, &job)
				}
				text, err := jsonText(map[string]json.RawMessage{"Job": raw})
				if err != nil {
					return s.fail("Error formatting the data: %v", err)
				}
				s.println(text)
				return exitOK
			}
		},
	}
}

// rawJob reads a job, or one version of it, as the API gives it.
func (s *session) rawJob(ctx context.Context, ref jobRef, version *uint64) (json.RawMessage, error) {
	if version == nil {
		return fetch(ctx, s.api, apiclient.JobPath(ref.id, ""), ref.query())
	}
	raw, err := fetch(ctx, s.api, apiclient.JobPath(ref.id, "/versions"), ref.query())
	if err != nil {
		return nil, err
	}
	var all struct{ Versions []json.RawMessage }
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	for _, v := range all.Versions {
		var head struct{ Version uint64 }
		if err := json.Unmarshal(v, &head); err == nil && head.Version == *version {
			return v, nil
		}
	}
	return nil, fmt.Errorf("job %q with version %d couldn't be found", ref.id, *version)
}

// printSource prints the text a job was submitted as.
func (s *session) printSource(ctx context.Context, ref jobRef, version *uint64, withVars bool) int {
	if version == nil {
		job, _, err := s.api.Job(ctx, ref.id, ref.query())
		if err != nil {
			return s.fail("Error inspecting job: %v", err)
		}
		version = &job.Version
	}
	sub, _, err := s.api.JobSubmission(ctx, ref.id, *version, ref.query())
	if err != nil {
		return s.fail("Error getting job source: %v", err)
	}
	if withVars {
		for _, name := range sortedKeys(sub.VariableFlags) {
			s.printf("%s = %q\n", name, sub.VariableFlags[name])
		}
		if sub.Variables != "" {
			s.println(sub.Variables)
		}
	}
	s.println(sub.Source)
	return exitOK
}

func jobHistory() *leaf {
	return &leaf{
		words: "job history", synopsis: "List the versions of a job",
		args: "[options] <job>", minArgs: 1, maxArgs: 1, wants: "one argument: <job>",
		prose: `Lists the versions of a job that the servers remember, newest first.

With ACLs, the 'read-job' capability is needed.`,
		complete: predictJobs,
		setup: func(f *flags) func(*session) int {
			diffs := f.flagBool("p", "Show what each version changed.", false)
			full := f.flagBool("full", "Show each version in full, as JSON.", false)
			number := f.flagString("version", "number", "", "Show only this version.")
			against := f.flagString("diff-version", "number", "", "With -p, show how each version differs from this one.")
			tag := f.flagString("diff-tag", "tag", "", "With -p, show how each version differs from the one with this tag.")
			out := f.output()
			return func(s *session) int {
				if *against != "" && *tag != "" {
					return s.fail("-diff-tag and -diff-version are mutually exclusive")
				}
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				ref, err := s.job(ctx, s.args[0])
				if err != nil {
					return s.code(err)
				}
				q := ref.query()
				q.Params = map[string][]string{}
				if *against != "" {
					q.Params.Set("diff_version", *against)
				}
				if *tag != "" {
					q.Params.Set("diff_tag", *tag)
				}
				withDiffs := *diffs || *against != "" || *tag != ""
				if out.wanted() && *number == "" {
					q.Params.Set("diffs", strconv.FormatBool(withDiffs))
					if *out.template != "" || withDiffs {
						resp, _, err := s.api.JobVersions(ctx, ref.id, withDiffs, q)
						if err != nil {
							return s.fail("Error retrieving job versions: %v", err)
						}
						return s.render(out, resp.Versions)
					}
					raw, err := fetch(ctx, s.api, apiclient.JobPath(ref.id, "/versions"), q)
					if err != nil {
						return s.fail("Error retrieving job versions: %v", err)
					}
					var all struct{ Versions json.RawMessage }
					if err := json.Unmarshal(raw, &all); err != nil {
						return s.fail("Error formatting the data: %v", err)
					}
					return s.render(out, all.Versions)
				}
				resp, _, err := s.api.JobVersions(ctx, ref.id, withDiffs, q)
				if err != nil {
					return s.fail("Error retrieving job versions: %v", err)
				}
				shown := 0
				for i, v := range resp.Versions {
					if *number != "" && fmt.Sprint(v.Version) != *number {
						continue
					}
					if out.wanted() {
						return s.render(out, v)
					}
					if shown++; shown > 1 {
						s.println("")
					}
					var diff *model.JobDiff
					if i < len(resp.Diffs) {
						diff = resp.Diffs[i]
					}
					if err := s.version(v, diff, *full); err != nil {
						return s.fail("Error formatting the data: %v", err)
					}
				}
				if shown == 0 && *number != "" {
					return s.fail("Error retrieving job versions: version %s not found", *number)
				}
				return exitOK
			}
		},
	}
}

// version prints one version of a job's history.
func (s *session) version(v *model.Job, diff *model.JobDiff, full bool) error {
	rows := []string{"Version", fmt.Sprint(v.Version), "Stable", fmt.Sprint(v.Stable), "Submit Date", s.clockNano(v.SubmitTime)}
	if t := v.VersionTag; t != nil {
		rows = append(rows, "Tag Name", t.Name)
		if t.Description != "" {
			rows = append(rows, "Tag Description", t.Description)
		}
	}
	if diff != nil {
		rows = append(rows, "Diff", "\n"+(&diffText{session: s}).job(diff))
	}
	if full {
		text, err := jsonText(v)
		if err != nil {
			return err
		}
		rows = append(rows, "Full", "JSON Job:\n"+text)
	}
	s.println(pairs(rows...))
	return nil
}

func jobRevert() *leaf {
	return &leaf{
		words: "job revert", synopsis: "Bring back an earlier version of a job",
		args: "[options] <job> <version|tag>", minArgs: 2, maxArgs: 2, wants: "two arguments: <job> <version|tag>",
		prose: `Registers an earlier version of a job, given by its number or its tag, again as a new version.

With ACLs, the 'submit-job' capability is needed.`,
		complete: predictJobs,
		setup: func(f *flags) func(*session) int {
			detach, verbose := f.watching()
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				ref, err := s.job(ctx, s.args[0])
				if err != nil {
					return s.code(err)
				}
				number, err := strconv.ParseUint(s.args[1], 10, 64)
				tag := ""
				if err != nil {
					tag = s.args[1]
				}
				resp, _, err := s.api.RevertJob(ctx, ref.id, number, tag, ref.query())
				if err != nil {
					return s.fail("Error retrieving job versions: %v", err)
				}
				return s.watchEval(ctx, resp.EvalID, *detach, *verbose, "Evaluation ID: %s\n")
			}
		},
	}
}

// watching declares -detach and -verbose.
func (f *flags) watching() (detach, verbose *bool) {
	return f.flagBool("detach", "Do not watch; print the evaluation's ID and return.", false),
		f.flagBool("verbose", "Show whole IDs.", false)
}

// watchEval watches an evaluation, or prints its ID with -detach. An empty ID
// means that there is nothing to watch.
func (s *session) watchEval(ctx context.Context, id model.EvalID, detach, verbose bool, detached string) int {
	if id == "" {
		return exitOK
	}
	if detach {
		s.printf(detached, id)
		return exitOK
	}
	return (&monitor{session: s, length: idLength(verbose)}).watch(ctx, id)
}

func jobAllocs() *leaf {
	return &leaf{
		words: "job allocs", synopsis: "List the allocations of a job",
		args: "[options] <job>", minArgs: 1, maxArgs: 1, wants: "one argument: <job>",
		prose: `Lists a job's allocations.

With ACLs, the 'read-job' capability is needed.`,
		complete: predictJobs,
		setup: func(f *flags) func(*session) int {
			all := f.flagBool("all", "Also list allocations of an earlier job of the same ID.", false)
			verbose := f.flagBool("verbose", "Show whole IDs and more.", false)
			out := f.output()
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				ref, err := s.job(ctx, s.args[0])
				if err != nil {
					return s.code(err)
				}
				if out.wanted() {
					q := ref.query()
					q.Params = map[string][]string{"all": {strconv.FormatBool(*all)}}
					return s.renderPath(ctx, out, apiclient.JobPath(ref.id, "/allocations"), q, &[]*model.AllocListStub{})
				}
				allocs, _, err := s.api.JobAllocations(ctx, ref.id, *all, ref.query())
				if err != nil {
					return s.fail("Error retrieving allocations: %v", err)
				}
				slices.SortStableFunc(allocs, func(a, b *model.AllocListStub) int { return cmp.Compare(b.CreateIndex, a.CreateIndex) })
				s.println(s.allocSection(allocs, *verbose))
				return exitOK
			}
		},
	}
}

func jobDeployments() *leaf {
	return &leaf{
		words: "job deployments", synopsis: "List the deployments of a job",
		args: "[options] <job>", minArgs: 1, maxArgs: 1, wants: "one argument: <job>",
		prose: `Lists a job's deployments.

With ACLs, the 'read-job' capability is needed.`,
		complete: predictJobs,
		setup: func(f *flags) func(*session) int {
			latest := f.flagBool("latest", "Show the newest deployment only, in full.", false)
			all := f.flagBool("all", "Also list deployments of an earlier job of the same ID.", false)
			verbose := f.flagBool("verbose", "Show whole IDs.", false)
			out := f.output()
			return func(s *session) int {
				if _, ok := s.connect(); !ok {
					return exitError
				}
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				ref, err := s.job(ctx, s.args[0])
				if err != nil {
					return s.code(err)
				}
				if *latest {
					if out.wanted() {
						return s.renderPath(ctx, out, apiclient.JobPath(ref.id, "/deployment"), ref.query(), &model.Deployment{})
					}
					d, _, err := s.api.LatestDeployment(ctx, ref.id, ref.query())
					if err != nil {
						return s.fail("Error retrieving deployments: %v", err)
					}
					if d == nil {
						s.println("No deployment found")
						return exitOK
					}
					s.println(s.deploymentBlock(d, idLength(*verbose)))
					return exitOK
				}
				if out.wanted() {
					q := ref.query()
					q.Params = map[string][]string{"all": {strconv.FormatBool(*all)}}
					return s.renderPath(ctx, out, apiclient.JobPath(ref.id, "/deployments"), q, &[]*model.Deployment{})
				}
				list, _, err := s.api.JobDeployments(ctx, ref.id, *all, ref.query())
				if err != nil {
					return s.fail("Error retrieving deployments: %v", err)
				}
				return s.deploymentSection(list, *verbose)
			}
		},
	}
}

// deploymentSection prints deployments, newest first.
func (s *session) deploymentSection(list []*model.Deployment, verbose bool) int {
	if len(list) == 0 {
		s.println("No deployments found")
		return exitOK
	}
	slices.SortStableFunc(list, func(a, b *model.Deployment) int { return cmp.Compare(b.CreateIndex, a.CreateIndex) })
	s.println(s.deploymentTable(list, verbose))
	return exitOK
}
