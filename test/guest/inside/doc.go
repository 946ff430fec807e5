// Package inside tests the drivers, and an agent with them, in the guest that
// package guest boots: as root, on a machine with nothing but cgroup v2, with
// busybox for a userland and the programs under test beside the test's own.
// Nobody else runs it.
package inside
