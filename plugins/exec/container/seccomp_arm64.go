package container

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_AARCH64

const lastKnownCall = unix.SYS_FILE_SETATTR

var callsOfArch = []rule{
	{[]uintptr{unix.SYS_KEXEC_FILE_LOAD}, []string{"CAP_SYS_BOOT"}},
}
