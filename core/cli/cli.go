// Package cli is the command line: it parses arguments, calls the HTTP API
// through core/apiclient and prints. One file per command; what several share
// is in command.go (flags, help), session.go (streams, client), format.go
// (tables and times), resolve.go (identifiers and their prefixes) and
// monitor.go (watching an evaluation and its deployment).
//
// Results go to standard output, errors and hints to standard error. Output
// shapes and exit codes are a contract with users' scripts: the golden files
// hold them.
package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	hcli "github.com/hashicorp/cli"
	"golang.org/x/term"

	"github.com/seraiproject/serai/core/agent/config"
	"github.com/seraiproject/serai/core/version"
)

// Exit codes; see the package documentation of the commands for more.
const (
	exitOK          = 0
	exitError       = 1
	exitUnplaced    = 2   // the evaluation finished, but some groups could not be placed
	exitUnknown     = 127 // no such command
	exitPlanFailure = 255
)

// AgentRunner runs an agent until ctx ends, it was told to leave and has left, or
// it fails. See [config.Host] for its side of the bargain.
type AgentRunner func(ctx context.Context, cfg *config.Config, host config.Host) error

// Deps are the things a command line needs from outside. Every zero value but
// RunAgent's has a default: the process's own streams, environment and clock.
type Deps struct {
	// Version is the product's version, without a leading v; empty means
	// version.Version.
	Version string
	// RunAgent runs an agent; without it there is no agent command.
	RunAgent AgentRunner
	// Hidden are entry points of processes that Serai starts itself. They are
	// looked up by the first argument before anything else happens.
	Hidden map[string]func(args []string) int

	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	Now    func() time.Time
	// Signals delivers signals to long-running commands; nil means the
	// process's.
	Signals <-chan os.Signal
	// Location is the zone times are shown in; nil means the local one.
	Location *time.Location
}

func (d Deps) withDefaults() Deps {
	if d.Version == "" {
		d.Version = version.Version
	}
	if d.Stdin == nil {
		d.Stdin = os.Stdin
	}
	if d.Stdout == nil {
		d.Stdout = os.Stdout
	}
	if d.Stderr == nil {
		d.Stderr = os.Stderr
	}
	if d.Getenv == nil {
		d.Getenv = os.Getenv
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Location == nil {
		d.Location = time.Local
	}
	return d
}

// Run executes one command line, without the program's name, and returns the
// exit code.
func Run(args []string, d Deps) int {
	if len(args) > 0 {
		if entry, ok := d.Hidden[args[0]]; ok {
			return entry(args[1:])
		}
	}
	d = d.withDefaults()
	if d.Getenv("COMP_LINE") == "" && len(args) == 0 {
		fmt.Fprintln(d.Stdout, rootHelp(d))
		return exitUnknown
	}
	tree, hidden := commandTree(d)
	c := &hcli.CLI{
		Name:           "serai",
		Version:        versionLine(d.Version),
		Args:           args,
		Commands:       tree,
		HiddenCommands: hidden,
		Autocomplete:   true,
		HelpFunc:       func(map[string]hcli.CommandFactory) string { return rootHelp(d) },
		HelpWriter:     d.Stdout,
		ErrorWriter:    d.Stdout,
	}
	code, err := c.Run()
	if err != nil {
		fmt.Fprintf(d.Stderr, "Error executing CLI: %v\n", err)
		return exitError
	}
	return code
}

// versionLine names the version, and on a line of its own the revision if the
// build carries one.
func versionLine(number string) string {
	line := "Serai v" + number
	if r := version.Revision(); r != "" {
		line += "\nRevision " + r
	}
	return line
}

// commandTree lists every command by its words, and which of them the help
// leaves out.
func commandTree(d Deps) (tree map[string]hcli.CommandFactory, hidden []string) {
	tree = map[string]hcli.CommandFactory{}
	for _, l := range leaves(d) {
		names := append([]string{l.words}, l.aliases...)
		for i, name := range names {
			tree[name] = func() (hcli.Command, error) { return &run{leaf: l, deps: d, name: name}, nil }
			if i > 0 && !slices.Contains(listedAliases, name) {
				hidden = append(hidden, name)
			}
		}
	}
	for _, g := range groups {
		tree[g.words] = func() (hcli.Command, error) { return &groupCommand{group: g, deps: d}, nil }
	}
	return tree, hidden
}

// listedAliases are the short names that the root help shows.
var listedAliases = []string{"run", "stop", "start", "exec"}

// leaves are all commands, in no particular order.
func leaves(d Deps) []*leaf {
	all := []*leaf{
		jobRun(), jobPlan(), jobValidate(), jobInit(), jobStatus(), jobStop(), jobInspect(), jobHistory(), jobRevert(),
		jobAllocs(), jobDeployments(), jobEval(), jobPromote(), jobStart(),
		jobDispatch(), jobPeriodicForce(), jobScale(),
		allocStatus(), allocLogs(), allocExec(), allocFS(), allocStop(), allocRestart(), allocSignal(), allocChecks(),
		nodeStatus(), nodeEligibility(), nodeDrain(), nodeConfig(),
		serverMembers(), serverJoin(), serverForceLeave(),
		evalStatus(), evalList(),
		deploymentStatus(), deploymentList(), deploymentPromote(), deploymentFail(), deploymentPause(), deploymentResume(),
		pluginList(), status(), systemGC(), agentInfo(), configValidate(), versionCommand(),
		operatorAPI(), raftListPeers(), raftRemovePeer(), schedulerGet(), schedulerSet(),
	}
	if d.RunAgent != nil {
		all = append(all, agentCommand())
	}
	return all
}

// group is a command that only holds others.
type group struct {
	words, synopsis, prose string
	examples               []string
}

var groups = []group{
	{"job", "Jobs: run, plan, stop, inspect", "This command groups what can be done with jobs.",
		[]string{"Run a new job or update an existing one", "serai job run <path>", "Show a job's state", "serai job status <name>", "Stop a running job", "serai job stop <name>"}},
	{"alloc", "Allocations: status, logs, exec, files", "This command groups what can be done with allocations, the instances of task groups that nodes run.",
		[]string{"Show an allocation", "serai alloc status <id>", "Follow a task's output", "serai alloc logs -f <id> <task>", "Open a shell in a task", "serai alloc exec -task <task> <id> /bin/sh"}},
	{"node", "Nodes: status, eligibility", "This command groups what can be done with nodes, the machines that run work.",
		[]string{"List nodes", "serai node status", "Keep new work off a node", "serai node eligibility -disable <id>"}},
	{"server", "Servers: members, join", "This command groups what can be done with the servers of a cluster.",
		[]string{"List servers", "serai server members", "Join another server", "serai server join <address>"}},
	{"eval", "Evaluations: list, status", "This command groups what can be done with evaluations, the scheduler's work orders.",
		[]string{"Show an evaluation", "serai eval status <id>", "List evaluations", "serai eval list"}},
	{"deployment", "Deployments: status, promote, fail", "This command groups what can be done with deployments, the rollouts of job versions.",
		[]string{"Show a deployment", "serai deployment status <id>", "Promote its canaries", "serai deployment promote <id>"}},
	{"plugin", "Plugins of a node", "This command groups what can be asked about the plugins of nodes.",
		[]string{"List the plugins of the agent's node", "serai plugin list"}},
	{"system", "Housekeeping of the whole cluster", "This command groups operations on the whole cluster.",
		[]string{"Collect everything that is over", "serai system gc"}},
	{"config", "Agent configuration files", "This command groups what can be done with configuration files.",
		[]string{"Check configuration files", "serai config validate <path>"}},
	{"operator", "Tools for those who run a cluster", "This command groups tools for those who run a cluster.",
		[]string{"Make any API request", "serai operator api /v1/nodes"}},
	{"operator raft", "The servers' Raft group", "This command groups what can be done with the Raft group of the servers.",
		[]string{"List its members", "serai operator raft list-peers"}},
	{"operator scheduler", "The scheduler's configuration", "This command groups what can be done with the scheduler's configuration.",
		[]string{"Spread work over nodes", "serai operator scheduler set-config -scheduler-algorithm=spread"}},
	periodicGroup,
}

type groupCommand struct {
	group group
	deps  Deps
}

func (g *groupCommand) Synopsis() string { return g.group.synopsis }

// HelpTemplate keeps hashicorp/cli from adding to the help text.
func (g *groupCommand) HelpTemplate() string { return "{{.Help}}\n" }

func (g *groupCommand) Help() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: serai %s <subcommand> [options] [args]\n\n%s\n", g.group.words, indent(wrap(g.group.prose, 74), 2))
	for i := 0; i+1 < len(g.group.examples); i += 2 {
		fmt.Fprintf(&b, "\n  %s:\n\n      $ %s\n", g.group.examples[i], g.group.examples[i+1])
	}
	b.WriteString("\nSubcommands:\n")
	subs := map[string]string{}
	for _, l := range leaves(g.deps) {
		if name, ok := strings.CutPrefix(l.words, g.group.words+" "); ok && !strings.Contains(name, " ") {
			subs[name] = l.synopsis
		}
	}
	for _, sub := range groups {
		if name, ok := strings.CutPrefix(sub.words, g.group.words+" "); ok {
			subs[name] = sub.synopsis
		}
	}
	b.WriteString(nameList(subs))
	return strings.TrimRight(b.String(), "\n")
}

func (g *groupCommand) Run([]string) int {
	fmt.Fprintln(g.deps.Stdout, g.Help())
	return exitError
}

func nameList(synopses map[string]string) string {
	width := 0
	for name := range synopses {
		width = max(width, len(name))
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(synopses)) {
		fmt.Fprintf(&b, "    %-*s    %s\n", width, name, synopses[name])
	}
	return b.String()
}

// common are the commands the root help shows first, in this order.
var common = []string{"run", "stop", "status", "alloc", "job", "node", "agent"}

func rootHelp(d Deps) string {
	synopses := map[string]string{}
	for _, l := range leaves(d) {
		if !strings.Contains(l.words, " ") {
			synopses[l.words] = l.synopsis
		}
		for _, a := range l.aliases {
			if slices.Contains(listedAliases, a) {
				synopses[a] = l.synopsis
			}
		}
	}
	for _, g := range groups {
		if !strings.Contains(g.words, " ") {
			synopses[g.words] = g.synopsis
		}
	}
	width := 0
	for name := range synopses {
		width = max(width, len(name))
	}
	var b strings.Builder
	b.WriteString("Usage: serai [-version] [-help] [-autocomplete-(un)install] <command> [args]\n\nCommon commands:\n")
	for _, name := range common {
		if s, ok := synopses[name]; ok {
			fmt.Fprintf(&b, "    %-*s    %s\n", width, name, s)
		}
	}
	b.WriteString("\nOther commands:\n")
	for _, name := range slices.Sorted(maps.Keys(synopses)) {
		if !slices.Contains(common, name) {
			fmt.Fprintf(&b, "    %-*s    %s\n", width, name, synopses[name])
		}
	}
	return strings.TrimRight(b.String(), "\n")
}

// signals returns the channel that long-running commands listen on, and a
// function that stops listening.
func (d Deps) signals(which ...os.Signal) (<-chan os.Signal, func()) {
	if d.Signals != nil {
		return d.Signals, func() {}
	}
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, which...)
	return ch, func() { signal.Stop(ch) }
}

// interruptible returns a context that ends at Ctrl-C.
func (d Deps) interruptible() (context.Context, context.CancelFunc) {
	if d.Signals == nil {
		return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-d.Signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// isTerminal reports whether a stream is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
