package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/posener/complete"

	"github.com/seraiproject/serai/core/apiclient"
)

func jobRun() *leaf {
	return &leaf{
		words: "job run", aliases: []string{"run"}, synopsis: "Create or update a job from a file",
		args: "[options] <path>", minArgs: 1, maxArgs: 1, wants: "one argument: <path>",
		prose: `Registers the job in the file at <path>, "-" for standard input, or an http(s) URL; an existing job of the same ID is updated.

The command then watches the evaluation and the deployment, unless -detach is given, and ends with code 0 when everything went well, 2 when some groups could not be placed, and 1 otherwise. Ctrl-C only ends the watching.

With ACLs, the 'submit-job' capability is needed.`,
		complete: predictJobFile,
		setup: func(f *flags) func(*session) int {
			job := f.job()
			checkIndex := f.flagString("check-index", "index", "", "Register only if the job's modify index is this one; 0 means only if there is no such job. 'job plan' prints the index.")
			detach := f.flagBool("detach", "Do not watch; print the evaluation's ID and return.", false)
			evalPriority := f.flagInt("eval-priority", "number", 0, "The priority of the evaluation, instead of the job's.")
			print := f.flagBool("output", "Print the request as JSON and do nothing else.", false)
			counts := f.flagBool("preserve-counts", "Keep the counts of the registered job's groups.", false)
			resources := f.flagBool("preserve-resources", "Keep the resources of the registered job's tasks.", false)
			override := f.flagBool("policy-override", "Override soft mandatory policies.", false)
			f.flagString("consul-namespace", "name", "", "The Consul namespace of the job. Accepted, without effect.")
			ui := f.uiFlag()
			verbose := f.flagBool("verbose", "Show whole IDs.", false)
			return func(s *session) int {
				s.noUI(*ui)
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				j, err := s.readJob(ctx, s.args[0], job)
				if err != nil {
					return s.fail("%v", err)
				}
				if *print {
					text, err := j.request()
					if err != nil {
						return s.fail("Error converting job: %v", err)
					}
					s.println(text)
					return exitOK
				}
				req := &apiclient.RegisterRequest{
					Job: j.body, Submission: j.submission, PolicyOverride: *override,
					PreserveCounts: *counts, PreserveResources: *resources, EvalPriority: *evalPriority,
				}
				if *checkIndex != "" {
					if _, err := fmt.Sscan(*checkIndex, &req.JobModifyIndex); err != nil {
						return s.fail("Error parsing check-index value %q: %v", *checkIndex, err)
					}
					req.EnforceIndex = true
				}
				if _, ok := s.connect(); !ok {
					return exitError
				}
				return s.register(ctx, j, req, *detach, *verbose)
			}
		},
	}
}

// register registers a job and watches what comes of it.
func (s *session) register(ctx context.Context, j *jobFile, req *apiclient.RegisterRequest, detach, verbose bool) int {
	resp, _, err := s.api.RegisterJob(ctx, req, j.query(s))
	if err != nil {
		var status *apiclient.StatusError
		if errors.As(err, &status) && strings.Contains(status.Body, "Enforcing job modify index") {
			return s.fail("%s\nJob not updated", status.Body)
		}
		return s.fail("Error submitting job: %v", err)
	}
	s.warnings(joinWarnings(j.warnings, resp.Warnings))
	if detach || resp.EvalID == "" {
		s.println("Job registration successful")
		if next := nextLaunch(j.Periodic, s.now()); !next.IsZero() && j.ParameterizedJob == nil {
			s.printf("Approximate next launch time: %s (%s)\n", s.clock(next), s.ago(next))
		}
		if resp.EvalID != "" {
			s.printf("Evaluation ID: %s\n", resp.EvalID)
		}
		return exitOK
	}
	return (&monitor{session: s, length: idLength(verbose)}).watch(ctx, resp.EvalID)
}

// joinWarnings puts the remarks of the parser before those of the server, each
// once.
func joinWarnings(own []string, server string) string {
	all := slices.Clone(own)
	for _, w := range splitWarnings(server) {
		if !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	return warningText(all)
}

// splitWarnings takes the API's text, "2 warnings:" and a list, apart.
func splitWarnings(text string) []string {
	text = strings.TrimSpace(text)
	if text == "" {
		return nil
	}
	head, rest, ok := strings.Cut(text, "* ")
	if !ok || !strings.Contains(head, "warning") {
		return []string{text}
	}
	parts := strings.Split(rest, "\n* ")
	for i, p := range parts {
		parts[i] = strings.TrimSpace(p)
	}
	return parts
}

// uiFlag declares -ui.
func (f *flags) uiFlag() *bool {
	return f.flagBool("ui", "Open the matching page of the web interface.", false)
}

// noUI says that there is no web interface to open.
func (s *session) noUI(wanted bool) {
	if wanted {
		fmt.Fprintln(s.deps.Stderr, "This version has no web interface to open.")
	}
}

func predictJobFile(*session) complete.Predictor {
	return complete.PredictOr(complete.PredictFiles("*.hcl"), complete.PredictFiles("*.nomad"), complete.PredictFiles("*.json"))
}
