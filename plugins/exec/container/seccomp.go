package container

import (
	"fmt"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// rule refuses system calls unless the task holds one of the capabilities that
// make them meaningful anyway.
type rule struct {
	calls []uintptr
	caps  []string
}

// rules are the calls that a container has no business with: they act on the
// machine as a whole, on other namespaces, or have a history of holes.
// callsOfArch adds those that only some architectures have.
var rules = append([]rule{
	{[]uintptr{unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT,
		unix.SYS_FSPICK, unix.SYS_MOVE_MOUNT, unix.SYS_OPEN_TREE, unix.SYS_OPEN_TREE_ATTR, unix.SYS_MOUNT_SETATTR,
		unix.SYS_STATMOUNT, unix.SYS_LISTMOUNT, unix.SYS_SETNS, unix.SYS_UNSHARE, unix.SYS_SETHOSTNAME,
		unix.SYS_SETDOMAINNAME, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD, unix.SYS_FANOTIFY_INIT}, []string{"CAP_SYS_ADMIN"}},
	{[]uintptr{unix.SYS_BPF}, []string{"CAP_SYS_ADMIN", "CAP_BPF"}},
	{[]uintptr{unix.SYS_PERF_EVENT_OPEN}, []string{"CAP_SYS_ADMIN", "CAP_PERFMON"}},
	{[]uintptr{unix.SYS_KEXEC_LOAD, unix.SYS_REBOOT}, []string{"CAP_SYS_BOOT"}},
	{[]uintptr{unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE}, []string{"CAP_SYS_MODULE"}},
	{[]uintptr{unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME, unix.SYS_CLOCK_ADJTIME, unix.SYS_ADJTIMEX}, []string{"CAP_SYS_TIME"}},
	{[]uintptr{unix.SYS_KCMP, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV, unix.SYS_PIDFD_GETFD,
		unix.SYS_PROCESS_MADVISE}, []string{"CAP_SYS_PTRACE"}},
	{[]uintptr{unix.SYS_MBIND, unix.SYS_SET_MEMPOLICY, unix.SYS_SET_MEMPOLICY_HOME_NODE, unix.SYS_MOVE_PAGES,
		unix.SYS_MIGRATE_PAGES}, []string{"CAP_SYS_NICE"}},
	{[]uintptr{unix.SYS_ACCT}, []string{"CAP_SYS_PACCT"}},
	{[]uintptr{unix.SYS_OPEN_BY_HANDLE_AT}, []string{"CAP_DAC_READ_SEARCH"}},
	{[]uintptr{unix.SYS_SYSLOG}, []string{"CAP_SYSLOG"}},
	{[]uintptr{unix.SYS_VHANGUP}, []string{"CAP_SYS_TTY_CONFIG"}},
	{calls: []uintptr{unix.SYS_ADD_KEY, unix.SYS_KEYCTL, unix.SYS_REQUEST_KEY, unix.SYS_SWAPON, unix.SYS_SWAPOFF,
		unix.SYS_USERFAULTFD, unix.SYS_NFSSERVCTL, unix.SYS_LOOKUP_DCOOKIE,
		unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER}},
}, callsOfArch...)

// newNamespaces are the flags of clone that make namespaces.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER |
	unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP

// Offsets in struct seccomp_data.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetArg0   = 16
)

const (
	retAllow = 0x7fff0000 // SECCOMP_RET_ALLOW
	retErrno = 0x00050000 // SECCOMP_RET_ERRNO
)

// Filter compiles the seccomp filter of a task that holds the capabilities:
// calls known when this was written are allowed unless a rule refuses them
// (EPERM); later ones, and calls of foreign architectures, do not exist
// (ENOSYS).
func Filter(capabilities []string) ([]unix.SockFilter, error) {
	refuse := func(errno unix.Errno) bpf.Instruction { return bpf.RetConstant{Val: retErrno | uint32(errno)} }
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		refuse(unix.ENOSYS),
		bpf.LoadAbsolute{Off: offsetNumber, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpLessOrEqual, Val: lastKnownCall, SkipTrue: 1},
		refuse(unix.ENOSYS),
	}
	var denied []uintptr
	for _, r := range rules {
		if !slices.ContainsFunc(r.caps, func(c string) bool { return slices.Contains(capabilities, c) }) {
			denied = append(denied, r.calls...)
		}
	}
	slices.Sort(denied)
	for _, call := range slices.Compact(denied) {
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(call), SkipTrue: 1},
			refuse(unix.EPERM))
	}
	program = append(program,
		// personality: only the default, 32-bit and the kernel-version ones,
		// and asking.
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_PERSONALITY, SkipTrue: 7},
		bpf.LoadAbsolute{Off: offsetArg0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x0, SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x8, SkipTrue: 3},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0x20000, SkipTrue: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 0xffffffff, SkipTrue: 1},
		refuse(unix.EPERM),
		bpf.RetConstant{Val: retAllow},
	)
	if !slices.Contains(capabilities, "CAP_SYS_ADMIN") {
		program = append(program,
			// clone3 passes its flags in memory, where no filter can see
			// them; the C library then uses clone.
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_CLONE3, SkipTrue: 1},
			refuse(unix.ENOSYS),
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_CLONE, SkipTrue: 3},
			bpf.LoadAbsolute{Off: offsetArg0, Size: 4},
			bpf.JumpIf{Cond: bpf.JumpBitsNotSet, Val: newNamespaces, SkipTrue: 1},
			refuse(unix.EPERM),
		)
	}
	program = append(program, bpf.RetConstant{Val: retAllow})
	raw, err := bpf.Assemble(program)
	if err != nil {
		return nil, fmt.Errorf("assemble seccomp filter: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return filter, nil
}
