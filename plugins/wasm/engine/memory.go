package engine

import (
	"github.com/tetratelabs/wazero/experimental"
	"golang.org/x/sys/unix"
)

// allocateMemory reserves the whole address range that a linear memory may ever need and lets the kernel supply pages
// as they are touched. Growing a memory then copies nothing and leaves no garbage behind, so a task costs what its
// guest has really used.
func allocateMemory(capacity, limit uint64) experimental.LinearMemory {
	size := max(capacity, limit)
	if size == 0 {
		return &linearMemory{}
	}
	region, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		// The memory cannot grow, not even to its start size: the engine reports it as such.
		return &linearMemory{}
	}
	return &linearMemory{region: region}
}

// linearMemory is one reserved region, of which the guest sees a part.
type linearMemory struct {
	region []byte
}

// Reallocate returns nil if size is more than was reserved, which the guest sees as a refused memory.grow.
func (m *linearMemory) Reallocate(size uint64) []byte {
	if size > uint64(len(m.region)) {
		return nil
	}
	return m.region[:size]
}

// Free gives the region back.
func (m *linearMemory) Free() {
	if m.region != nil {
		_ = unix.Munmap(m.region)
		m.region = nil
	}
}
