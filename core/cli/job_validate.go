package cli

import (
	"errors"
	"net"
	"strings"
)

func jobValidate() *leaf {
	return &leaf{
		words: "job validate", aliases: []string{"validate"}, synopsis: "Check a job file",
		args: "[options] <path>", minArgs: 1, maxArgs: 1, wants: "one argument: <path>",
		prose: `Checks the job in the file at <path>, "-" for standard input, or an http(s) URL: its form, and on the server its meaning. Without a server only the form is checked.

With ACLs, the 'read-job' capability is needed.`,
		complete: predictJobFile,
		setup: func(f *flags) func(*session) int {
			job := f.job()
			return func(s *session) int {
				ctx, cancel := s.deps.interruptible()
				defer cancel()
				j, err := s.readJob(ctx, s.args[0], job)
				if err != nil {
					return s.fail("%v", err)
				}
				c, ok := s.connect()
				if !ok {
					return exitError
				}
				resp, _, err := c.ValidateJob(ctx, j.body, j.query(s))
				var netErr *net.OpError
				switch {
				case errors.As(err, &netErr):
					s.println(s.paint(yellow, "Driver configuration not validated since connection to the agent couldn't be established."))
					s.warnings(joinWarnings(j.warnings, ""))
					s.println(s.paint(bold, "Job validation successful"))
					return exitOK
				case err != nil:
					return s.fail("Error validating job: %v", err)
				}
				if !resp.DriverConfigValidated {
					s.println(s.paint(yellow, "Driver configuration not validated since the server did not check it."))
				}
				if resp.Error != "" || len(resp.ValidationErrors) > 0 {
					s.fail("Job validation errors:")
					if len(resp.ValidationErrors) > 0 {
						return s.fail("* %s", strings.Join(resp.ValidationErrors, "\n* "))
					}
					return s.fail("%s", resp.Error)
				}
				s.warnings(joinWarnings(j.warnings, resp.Warnings))
				s.println(s.paint(bold, "Job validation successful"))
				return exitOK
			}
		},
	}
}
