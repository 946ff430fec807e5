package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/posener/complete"

	"github.com/seraiproject/serai/core/apiclient"
)

// leaf describes one command.
type leaf struct {
	words    string   // "job run"
	aliases  []string // "run"
	synopsis string   // one line
	args     string   // what follows the flags in the usage line
	prose    string   // paragraphs of the help text
	// offline commands do not talk to an agent and take no general flags.
	offline bool
	// minArgs and maxArgs bound the positional arguments (maxArgs < 0: no
	// bound); wants says what is wanted: "one argument: <job>".
	minArgs, maxArgs int
	wants            string
	// misuse is the exit code of wrong flags and arguments, 1 if zero.
	misuse int
	// complete predicts positional arguments.
	complete func(*session) complete.Predictor
	// setup declares the command's flags and returns what runs it.
	setup func(*flags) func(*session) int
}

// flags is a flag set that remembers the order of declaration, for the help.
type flags struct {
	*flag.FlagSet
	order []string
	// values are the predictors of flags that take a value.
	values map[string]complete.Predictor
}

func newFlags(name string) *flags {
	f := &flags{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), values: map[string]complete.Predictor{}}
	f.SetOutput(io.Discard)
	return f
}

func (f *flags) note(name string, p complete.Predictor) {
	f.order = append(f.order, name)
	f.values[name] = p
}

func (f *flags) flagBool(name, text string, value bool) *bool {
	f.note(name, complete.PredictNothing)
	return f.Bool(name, value, text)
}

// flagString declares a flag whose value the help shows as <what>.
func (f *flags) flagString(name, what, value, text string) *string {
	f.note(name, complete.PredictAnything)
	return f.String(name, value, "`"+what+"`\x00"+text)
}

func (f *flags) flagInt(name, what string, value int, text string) *int {
	f.note(name, complete.PredictAnything)
	return f.Int(name, value, "`"+what+"`\x00"+text)
}

func (f *flags) flagInt64(name, what string, value int64, text string) *int64 {
	f.note(name, complete.PredictAnything)
	return f.Int64(name, value, "`"+what+"`\x00"+text)
}

func (f *flags) flagDuration(name, what string, value time.Duration, text string) *time.Duration {
	f.note(name, complete.PredictAnything)
	return f.Duration(name, value, "`"+what+"`\x00"+text)
}

// flagStrings declares a flag that may be given several times.
func (f *flags) flagStrings(name, what, text string) *[]string {
	f.note(name, complete.PredictAnything)
	var out stringList
	f.Var(&out, name, "`"+what+"`\x00"+text)
	return (*[]string)(&out)
}

// hiddenBool declares a flag that the help does not show.
func (f *flags) hiddenBool(name string) *bool { return f.Bool(name, false, "") }

// sortOrder puts the flags declared so far into alphabetical order for the help.
func (f *flags) sortOrder() { slices.Sort(f.order) }

// given reports whether the flag was on the command line.
func (f *flags) given(name string) bool {
	found := false
	f.Visit(func(fl *flag.Flag) { found = found || fl.Name == name })
	return found
}

// each calls do for every flag of the command line with its value.
func (f *flags) each(do func(name, value string)) {
	f.Visit(func(fl *flag.Flag) { do(fl.Name, fl.Value.String()) })
}

type stringList []string

func (s *stringList) String() string     { return strings.Join(*s, ",") }
func (s *stringList) Set(v string) error { *s = append(*s, v); return nil }

// output declares -json and -t.
func (f *flags) output() *output {
	return &output{
		json:     f.flagBool("json", "Print the answer as JSON.", false),
		template: f.flagString("t", "template", "", "Print the answer through a Go template."),
	}
}

type output struct {
	json     *bool
	template *string
}

func (o *output) wanted() bool { return *o.json || *o.template != "" }

// general are the flags of every command that talks to an agent.
type general struct {
	client              apiclient.Config
	noColor, forceColor bool
}

// declare adds the general flags, with defaults from the environment.
func (g *general) declare(f *flags, getenv func(string) string) {
	env := apiclient.FromEnv(getenv)
	g.client = env
	str := func(dst *string, name, what, text string) {
		f.note(name, complete.PredictAnything)
		f.StringVar(dst, name, *dst, "`"+what+"`\x00"+text)
	}
	str(&g.client.Address, "address", "url", "The agent to talk to. Environment: NOMAD_ADDR. Default: http://127.0.0.1:4646.")
	str(&g.client.Region, "region", "name", "The region to ask. Environment: NOMAD_REGION. Default: the agent's own.")
	str(&g.client.Namespace, "namespace", "name", "The namespace to work in; '*' means all of them where a command lists things. Environment: NOMAD_NAMESPACE. Default: default.")
	str(&g.client.Token, "token", "secret", "The secret of an ACL token. Environment: NOMAD_TOKEN.")
	str(&g.client.TLS.CACert, "ca-cert", "path", "A PEM file of certificate authorities to trust. Environment: NOMAD_CACERT.")
	str(&g.client.TLS.CAPath, "ca-path", "path", "A folder of PEM files of certificate authorities; -ca-cert wins. Environment: NOMAD_CAPATH.")
	str(&g.client.TLS.ClientCert, "client-cert", "path", "A PEM file with the certificate to show. Environment: NOMAD_CLIENT_CERT.")
	str(&g.client.TLS.ClientKey, "client-key", "path", "The key of -client-cert. Environment: NOMAD_CLIENT_KEY.")
	str(&g.client.TLS.ServerName, "tls-server-name", "name", "The name to ask for and verify instead of the host's. Environment: NOMAD_TLS_SERVER_NAME.")
	f.note("tls-skip-verify", complete.PredictNothing)
	f.BoolVar(&g.client.TLS.SkipVerify, "tls-skip-verify", g.client.TLS.SkipVerify, "Do not verify the agent's certificate. Environment: NOMAD_SKIP_VERIFY.")
	f.BoolVar(&g.client.TLS.SkipVerify, "insecure", g.client.TLS.SkipVerify, "")
	g.declareColor(f)
}

func (g *general) declareColor(f *flags) {
	f.note("no-color", complete.PredictNothing)
	f.BoolVar(&g.noColor, "no-color", false, "Print without colours. Environment: NOMAD_CLI_NO_COLOR.")
	f.note("force-color", complete.PredictNothing)
	f.BoolVar(&g.forceColor, "force-color", false, "Print with colours even if the output is no terminal. Environment: NOMAD_CLI_FORCE_COLOR.")
}

// run is one command under one of its names; it implements cli.Command.
type run struct {
	leaf *leaf
	deps Deps
	name string
}

func (r *run) Synopsis() string { return r.leaf.synopsis }

// HelpTemplate keeps hashicorp/cli from adding to the help text.
func (r *run) HelpTemplate() string { return "{{.Help}}\n" }

func (r *run) Help() string {
	own := newFlags(r.leaf.words)
	r.leaf.setup(own)
	var b strings.Builder
	fmt.Fprintf(&b, "Usage: serai %s %s\n", r.leaf.words, r.leaf.args)
	for _, a := range r.leaf.aliases {
		fmt.Fprintf(&b, "Alias: serai %s\n", a)
	}
	for p := range strings.SplitSeq(r.leaf.prose, "\n\n") {
		b.WriteString("\n" + indent(wrap(p, 74), 2) + "\n")
	}
	if !r.leaf.offline {
		shared := newFlags("")
		(&general{}).declare(shared, func(string) string { return "" })
		b.WriteString("\nGeneral Options:\n\n" + shared.help())
	}
	if len(own.order) > 0 {
		words := strings.Fields(r.leaf.words)
		for i, w := range words {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
		fmt.Fprintf(&b, "\n%s Options:\n\n%s", strings.Join(words, " "), own.help())
	}
	return strings.TrimRight(b.String(), "\n")
}

// help renders the flags: each on a line of its own, its text indented below.
func (f *flags) help() string {
	var parts []string
	for _, name := range f.order {
		fl := f.Lookup(name)
		value, text, _ := strings.Cut(fl.Usage, "\x00")
		if text == "" {
			value, text = "", fl.Usage
		}
		if value = strings.Trim(value, "`"); value != "" {
			value = "=<" + value + ">"
		}
		parts = append(parts, fmt.Sprintf("  -%s%s\n%s\n", name, value, indent(wrap(text, 72), 4)))
	}
	return strings.Join(parts, "\n")
}

// hints that begin a deprecated command's warning.
var deprecated = map[string]string{
	"server-members": "server members", "server-join": "server join",
	"server-force-leave": "server force-leave", "client-config": "node config",
}

func (r *run) Run(args []string) int {
	d := r.deps
	misuse := r.leaf.misuse
	if misuse == 0 {
		misuse = exitError
	}
	if better := deprecated[r.name]; better != "" {
		fmt.Fprintf(d.Stderr, "WARNING! The \"serai %s\" command is deprecated. Please use \"serai %s\" instead.\nIt still works for now, but may go away in a later version.\n\n", r.name, better)
	}
	f := newFlags(r.leaf.words)
	s := &session{deps: d, flags: f}
	if !r.leaf.offline {
		s.general.declare(f, d.Getenv)
	} else {
		s.general.declareColor(f)
	}
	do := r.leaf.setup(f)
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(d.Stdout, r.Help())
			return exitOK
		}
		fmt.Fprintln(d.Stderr, err)
		fmt.Fprintln(d.Stdout, r.Help())
		return misuse
	}
	s.args = f.Args()
	if n := len(s.args); n < r.leaf.minArgs || r.leaf.maxArgs >= 0 && n > r.leaf.maxArgs {
		return s.misuse(r.leaf, misuse, "This command takes "+r.leaf.wantsText())
	}
	s.color = d.wantsColor(s.general)
	s.leaf = r.leaf
	return do(s)
}

func (l *leaf) wantsText() string {
	if l.wants == "" {
		return "no arguments"
	}
	return l.wants
}

// wantsColor decides about colours: flags and environment, -no-color first,
// else whether the output is a terminal.
func (d Deps) wantsColor(g general) bool {
	set := func(name string) bool { return d.Getenv(name) != "" }
	switch {
	case g.noColor || set("NOMAD_CLI_NO_COLOR"):
		return false
	case g.forceColor || set("NOMAD_CLI_FORCE_COLOR"):
		return true
	}
	return isTerminal(d.Stdout)
}

// AutocompleteFlags implements cli.CommandAutocomplete.
func (r *run) AutocompleteFlags() complete.Flags {
	f := newFlags("")
	if !r.leaf.offline {
		(&general{}).declare(f, r.deps.Getenv)
	}
	r.leaf.setup(f)
	out := complete.Flags{}
	for name, p := range f.values {
		out["-"+name] = p
	}
	return out
}

// AutocompleteArgs implements cli.CommandAutocomplete.
func (r *run) AutocompleteArgs() complete.Predictor {
	if r.leaf.complete == nil {
		return complete.PredictNothing
	}
	s := &session{deps: r.deps, flags: newFlags("")}
	s.general.client = apiclient.FromEnv(r.deps.Getenv)
	return r.leaf.complete(s)
}

// misuse reports wrong usage with the hint where to read more.
func (s *session) misuse(l *leaf, code int, text string) int {
	fmt.Fprintf(s.deps.Stderr, "%s\nFor additional help try 'serai %s -help'\n", text, l.words)
	return code
}

// sortedCopy returns the elements in order.
func sortedCopy(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return out
}
