// Package jobspec turns a job file into the JSON document of a job.
//
// A job file is HCL2, the JSON form of HCL2, or the JSON of the HTTP API.
// All three become the same document: every field present, null for what the
// file leaves unset, durations as whole nanoseconds. It is what the HTTP API
// takes as the value of "Job"; defaults and validation beyond the shape of the
// file belong to the package that decodes it.
//
//	doc, err := jobspec.Parse("web.nomad.hcl", src, jobspec.Options{
//		Vars:   []string{"count=3"},
//		Strict: true,
//	})
//	if err != nil {
//		return err // lists every fault with file:line:column, the line and a caret
//	}
//	body := doc.JSON()
//
// What may be written where is data: table*.go lists each block with its
// attributes, their types and their keys in the document. A new attribute is
// one line there; what the agent stores without acting on it yet is one line
// in inert.go.
//
// An interpolation whose root is not var, local or an iterator belongs to run
// time: its source text passes through unchanged, so that "${attr.cpu.arch}"
// reaches the scheduler and "${NOMAD_PORT_http}" the task.
package jobspec
