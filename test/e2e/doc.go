// Package e2e runs the real binaries as a user would. The tests are
// testdata/script/*.txtar and read like terminal sessions; the commands beside
// testscript's own are in commands_test.go. Needs root. Agents listen on
// loopback, on ports that were free.
package e2e
