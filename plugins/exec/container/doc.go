// Package container runs one task of the exec driver in an OCI container made
// by libcontainer: it builds the runtime-spec, makes and starts the container
// in a launch stage that ends as the task's supervisor, and runs further
// commands inside.
//
// A binary that imports this package is re-executed in two roles, recognised
// before main runs: as the launch stage (argv[0] is LaunchName) and as
// libcontainer's init (first argument "init").
package container
