package cli

import (
	"fmt"
	"strings"

	"github.com/seraiproject/serai/core/model"
)

// jobTable lists jobs, with a namespace column if asked for.
func (s *session) jobTable(jobs []*model.JobListStub, namespaces bool) string {
	row := func(id, ns string, rest ...string) []string {
		if namespaces {
			return append([]string{id, ns}, rest...)
		}
		return append([]string{id}, rest...)
	}
	rows := [][]string{row("ID", "Namespace", "Type", "Priority", "Status", "Submit Date")}
	for _, j := range jobs {
		kind := j.Type
		switch {
		case j.Periodic:
			kind += "/periodic"
		case j.ParameterizedJob:
			kind += "/parameterized"
		}
		rows = append(rows, row(string(j.ID), j.Namespace, kind, fmt.Sprint(j.Priority), jobStatusText(j.Status, j.Stop), s.clockNano(j.SubmitTime)))
	}
	return table(rows...)
}

func jobStatusText(status string, stopped bool) string {
	if stopped {
		return status + " (stopped)"
	}
	return status
}

// allocTable lists allocations.
func (s *session) allocTable(allocs []*model.AllocListStub, verbose bool) string {
	n := idLength(verbose)
	header := []string{"ID", "Node ID", "Task Group", "Version", "Desired", "Status", "Created", "Modified"}
	if verbose {
		header = []string{"ID", "Eval ID", "Node ID", "Node Name", "Task Group", "Version", "Desired", "Status", "Created", "Modified"}
	}
	rows := [][]string{header}
	for _, a := range allocs {
		row := []string{short(a.ID, n)}
		if verbose {
			row = append(row, short(a.EvalID, n))
		}
		row = append(row, short(a.NodeID, n))
		if verbose {
			row = append(row, a.NodeName)
		}
		rows = append(rows, append(row, a.TaskGroup, fmt.Sprint(a.JobVersion), a.DesiredStatus, a.ClientStatus,
			s.when(a.CreateTime, verbose), s.when(a.ModifyTime, verbose)))
	}
	return table(rows...)
}

// allocSection is the table of allocations, or the word that there are none.
func (s *session) allocSection(allocs []*model.AllocListStub, verbose bool) string {
	if len(allocs) == 0 {
		return "No allocations placed"
	}
	return s.allocTable(allocs, verbose)
}

// placementFailed says if an evaluation left groups unplaced.
func placementFailed(e *model.Evaluation) string {
	if !e.Terminal() && e.Status != model.EvalStatusBlocked {
		return "N/A - In Progress"
	}
	return fmt.Sprint(len(e.FailedTGAllocs) > 0)
}

// evalTable lists evaluations of all jobs.
func (s *session) evalTable(evals []*model.Evaluation, verbose bool) string {
	n := idLength(verbose)
	rows := [][]string{{"ID", "Priority", "Triggered By", "Job ID", "Namespace", "Node ID", "Status", "Placement Failures"}}
	for _, e := range evals {
		rows = append(rows, []string{short(e.ID, n), fmt.Sprint(e.Priority), e.TriggeredBy, string(e.JobID), e.Namespace,
			orNone(short(e.NodeID, n)), e.Status, placementFailed(e)})
	}
	return table(rows...)
}

// deploymentTable lists deployments.
func (s *session) deploymentTable(all []*model.Deployment, verbose bool) string {
	n := idLength(verbose)
	rows := [][]string{{"ID", "Job ID", "Job Version", "Status", "Description"}}
	for _, d := range all {
		rows = append(rows, []string{short(d.ID, n), string(d.JobID), fmt.Sprint(d.JobVersion), d.Status, d.StatusDescription})
	}
	return table(rows...)
}

// nodeColumns are the columns a node list may have beyond the usual ones.
type nodeColumns struct {
	verbose bool
	os      bool
	allocs  map[model.NodeID]int // running allocations; nil: no such column
}

// nodeTable lists nodes.
func (s *session) nodeTable(nodes []*model.NodeListStub, c nodeColumns) string {
	header := []string{"ID", "Node Pool", "DC", "Name", "Class"}
	if c.os {
		header = append(header, "OS")
	}
	if c.verbose {
		header = append(header, "Address", "Version")
	}
	header = append(header, "Drain", "Eligibility", "Status")
	if c.allocs != nil {
		header = append(header, "Running Allocs")
	}
	rows := [][]string{header}
	for _, n := range nodes {
		row := []string{short(n.ID, idLength(c.verbose)), n.NodePool, n.Datacenter, n.Name, orNone(n.NodeClass)}
		if c.os {
			row = append(row, orNone(n.Attributes["os.name"]))
		}
		if c.verbose {
			row = append(row, n.Address, n.Version)
		}
		row = append(row, fmt.Sprint(n.Drain), n.SchedulingEligibility, s.paint(statusColor(n.Status), n.Status))
		if c.allocs != nil {
			row = append(row, fmt.Sprint(c.allocs[n.ID]))
		}
		rows = append(rows, row)
	}
	return table(rows...)
}

func statusColor(status string) string {
	switch status {
	case model.NodeStatusReady:
		return green
	case model.NodeStatusDown:
		return red
	case model.NodeStatusInit, model.NodeStatusDisconnected:
		return yellow
	}
	return ""
}

// warnings prints what an answer warns about.
func (s *session) warnings(text string) {
	if text = strings.TrimSpace(text); text == "" {
		return
	}
	s.printf("%s\n%s\n\n", s.paint(yellow, "Job Warnings:"), s.paint(yellow, text))
}

// warningText lays out a list of warnings as the API does.
func warningText(list []string) string {
	if len(list) == 0 {
		return ""
	}
	noun := "warnings"
	if len(list) == 1 {
		noun = "warning"
	}
	return fmt.Sprintf("%d %s:\n\n* %s", len(list), noun, strings.Join(list, "\n* "))
}
