// Package compat drives a real agent through the public Go client of the API
// that Serai answers, unmodified, and looks at what the client decoded.
//
// The client is github.com/hashicorp/nomad/api, an MPL-2.0 module. The tests
// need root and a C compiler, as the agent runs real tasks.
package compat
