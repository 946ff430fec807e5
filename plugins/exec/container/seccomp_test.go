package container

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

func TestFilter(t *testing.T) {
	const allow, eperm, enosys = retAllow, retErrno | uint32(unix.EPERM), retErrno | uint32(unix.ENOSYS)
	cases := []struct {
		name string
		caps []string
		arch uint32
		call uint32
		arg0 uint64
		want uint32
	}{
		{"read", nil, auditArch, unix.SYS_READ, 0, allow},
		{"execve", nil, auditArch, unix.SYS_EXECVE, 0, allow},
		{"mount", nil, auditArch, unix.SYS_MOUNT, 0, eperm},
		{"mount with its capability", []string{"CAP_SYS_ADMIN"}, auditArch, unix.SYS_MOUNT, 0, allow},
		{"bpf with its own capability", []string{"CAP_BPF"}, auditArch, unix.SYS_BPF, 0, allow},
		{"keyctl with all", []string{"CAP_SYS_ADMIN"}, auditArch, unix.SYS_KEYCTL, 0, eperm},
		{"fork", nil, auditArch, unix.SYS_CLONE, uint64(unix.SIGCHLD), allow},
		{"thread", nil, auditArch, unix.SYS_CLONE, unix.CLONE_VM | unix.CLONE_THREAD, allow},
		{"new user namespace", nil, auditArch, unix.SYS_CLONE, unix.CLONE_NEWUSER, eperm},
		{"clone3", nil, auditArch, unix.SYS_CLONE3, 0, enosys},
		{"clone3 with its capability", []string{"CAP_SYS_ADMIN"}, auditArch, unix.SYS_CLONE3, 0, allow},
		{"personality asked for", nil, auditArch, unix.SYS_PERSONALITY, 0xffffffff, allow},
		{"personality without address space randomisation", nil, auditArch, unix.SYS_PERSONALITY, 0x40000, eperm},
		{"a call of the future", nil, auditArch, lastKnownCall + 1, 0, enosys},
		{"x32", nil, auditArch, 1<<30 | unix.SYS_READ, 0, enosys},
		{"foreign architecture", nil, unix.AUDIT_ARCH_MIPS, unix.SYS_READ, 0, enosys},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			filter, err := Filter(c.caps)
			if err != nil {
				t.Fatal(err)
			}
			if got := simulate(t, filter, c.call, c.arch, c.arg0); got != c.want {
				t.Errorf("%#x, want %#x", got, c.want)
			}
		})
	}
}

// simulate runs the filter in user space. The virtual machine reads its input
// big-endian, as network packets are, and so the input is written.
func simulate(t *testing.T, filter []unix.SockFilter, call, arch uint32, arg0 uint64) uint32 {
	t.Helper()
	raw := make([]bpf.RawInstruction, len(filter))
	for i, f := range filter {
		raw[i] = bpf.RawInstruction{Op: f.Code, Jt: f.Jt, Jf: f.Jf, K: f.K}
	}
	program, ok := bpf.Disassemble(raw)
	if !ok {
		t.Fatal("the filter does not disassemble")
	}
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 64)
	binary.BigEndian.PutUint32(data[offsetNumber:], call)
	binary.BigEndian.PutUint32(data[offsetArch:], arch)
	binary.BigEndian.PutUint32(data[offsetArg0:], uint32(arg0)) // the low word comes first
	n, err := vm.Run(data)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}
