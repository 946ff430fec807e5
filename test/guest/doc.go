// Package guest proves the drivers' limits on a machine with nothing but
// cgroup v2, whatever the machine is that runs the tests: it boots a Linux
// kernel in an emulator and runs the tests of test/guest/inside there, with the
// real agent and plugin binaries, and those of pluginsdk/process.
//
//	scripts/e2e-deps                                  # once: emulator, busybox, kernel
//	go test -tags guest -count=1 -v ./test/guest/...
//
// The build tag keeps it out of "go test ./...", as software emulation takes
// minutes. It needs no root and changes nothing outside the test's own folder.
//
// SERAI_GUEST_RUN is a pattern of the guest's tests to run, as of go test -run.
// SERAI_GUEST_KERNEL names another kernel image. Its cgroups, tmpfs, devtmpfs,
// BPF, seccomp filters, message queues and serial console must be built in;
// Debian's are. The guest has no module to load.
package guest
