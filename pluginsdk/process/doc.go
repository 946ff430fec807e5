// Package process starts a command so that it outlives whoever started it.
//
// Every task runs under a supervisor: the plugin's own binary, started again
// under another name, which a C constructor turns into a process of a few
// dozen private pages before the Go runtime exists. The supervisor is in a
// session of its own and outside the task's cgroup, holds the task's log pipes
// open for reading and writing (so that a missing log reader blocks the task
// but never kills it), waits for it, kills what it left behind, writes how it
// ended into the task's state directory, and exits. Plugin and agent may both
// be killed and come back: Attach finds the task and its exit code again.
//
//	p, err := process.Start(process.Spec{
//		ID:       "alloc/web",
//		StateDir: "/run/serai/raw_exec/1f6c",
//		Path:     "/bin/sh",
//		Args:     []string{"sh", "-c", "exit 3"},
//		Dir:      "/",
//	})
//	record, _ := json.Marshal(p.Record()) // enough for process.Attach later
//	exit, err := p.Wait(ctx)              // exit.Code == 3
//
// With cgo the supervisor costs well under 1 MiB. Without cgo the same work is
// done by a Go process, which costs a few MiB but behaves alike.
//
// A binary that imports this package must not use the names in
// SupervisorName and ExecName as its own argv[0].
//
// What it does not do: namespaces and root file systems (see plugins/exec).
// supervisor.md specifies the supervisor byte by byte.
package process
