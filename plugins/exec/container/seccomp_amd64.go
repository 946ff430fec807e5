package container

import "golang.org/x/sys/unix"

const auditArch = unix.AUDIT_ARCH_X86_64

// lastKnownCall also shuts out the x32 numbers, which start at 1<<30.
const lastKnownCall = unix.SYS_FILE_SETATTR

var callsOfArch = []rule{
	{[]uintptr{unix.SYS_IOPERM, unix.SYS_IOPL}, []string{"CAP_SYS_RAWIO"}},
	{[]uintptr{unix.SYS_KEXEC_FILE_LOAD}, []string{"CAP_SYS_BOOT"}},
	{[]uintptr{unix.SYS_CREATE_MODULE, unix.SYS_QUERY_MODULE}, []string{"CAP_SYS_MODULE"}},
	{calls: []uintptr{unix.SYS__SYSCTL, unix.SYS_USELIB, unix.SYS_USTAT,
		unix.SYS_SYSFS, unix.SYS_GET_KERNEL_SYMS}},
}
