package engine

import (
	"context"
	"encoding/binary"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"golang.org/x/sys/unix"
)

// firstPreopen is the descriptor after standard input, output and error.
const firstPreopen = 3

// Numbers of the preview 1 interface.
const (
	clockRealtime    = 0
	clockMonotonicID = 1

	eventClock   = 0
	eventFDRead  = 1
	eventFDWrite = 2

	flagNonblock  = 1 << 2 // fdflags
	flagAbsolute  = 1 << 0 // subclockflags
	flagHangup    = 1 << 0 // eventrwflags
	flagPeek      = 1 << 0 // riflags
	flagWaitAll   = 1 << 1 // riflags
	shutdownRead  = 1 << 0 // sdflags
	shutdownWrite = 1 << 1

	// preopenSocket is any tag but that of a directory, which is the only one the interface defines: guests that
	// enumerate what was preopened pass over it.
	preopenSocket = 1
)

// guest is the host's side of one running instance.
type guest struct {
	*descriptors // nil until open
	listeners    []*Listener
	clock        *clock
	stdin        int // the host's descriptor of the guest's standard input, or -1
}

// open gets hold of the instance's descriptors. It may be called many times: a module's start function runs, and may
// call the host, before the instance is known to anyone else.
func (g *guest) open(instance api.Module) (err error) {
	if g.descriptors == nil {
		g.descriptors, err = newDescriptors(instance, g.listeners)
	}
	return err
}

type guestKey struct{}

// guestOf returns the guest that calls a host function.
func guestOf(ctx context.Context) *guest {
	g, _ := ctx.Value(guestKey{}).(*guest)
	return g
}

// hostFunction is the body of a host function that answers with an error number.
type hostFunction func(g *guest, memory api.Memory, params []uint64) experimentalsys.Errno

// overrides are the functions of wasi_snapshot_preview1 that the engine's own implementation does not do well enough
// for a service:
//
//   - poll_oneoff there says at once that every socket is ready, so an idle service burns a core, and it refuses to
//     wait until a socket can be written;
//   - reads and writes with several buffers there lose data when a non-blocking socket takes or gives only a part;
//   - sockets there are opened by the engine itself, after the directories, where guests do not look for them.
var overrides = []struct {
	name   string
	params string // i: i32
	call   hostFunction
}{
	{"fd_close", "i", fdClose},
	{"fd_prestat_get", "ii", fdPrestatGet},
	{"fd_read", "iiii", fdRead},
	{"fd_renumber", "ii", fdRenumber},
	{"fd_write", "iiii", fdWrite},
	{"poll_oneoff", "iiii", pollOneoff},
	{"sock_accept", "iii", sockAccept},
	{"sock_recv", "iiiiii", sockRecv},
	{"sock_send", "iiiii", sockSend},
	{"sock_shutdown", "ii", sockShutdown},
}

// buildWASI defines the module that guests import.
func buildWASI(runtime wazero.Runtime) wazero.HostModuleBuilder {
	builder := runtime.NewHostModuleBuilder(wasi_snapshot_preview1.ModuleName)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(builder)
	for _, f := range overrides {
		params := make([]api.ValueType, len(f.params))
		for i := range params {
			params[i] = api.ValueTypeI32
		}
		call := f.call
		body := api.GoModuleFunc(func(ctx context.Context, module api.Module, stack []uint64) {
			g := guestOf(ctx)
			if err := g.open(module); err != nil {
				panic(err)
			}
			stack[0] = uint64(wasiErrno(call(g, module.Memory(), stack)))
		})
		builder.NewFunctionBuilder().WithGoModuleFunction(body, params, []api.ValueType{api.ValueTypeI32}).Export(f.name)
	}
	return builder
}

// wasiErrno gives the error number that the interface defines.
func wasiErrno(errno experimentalsys.Errno) uint32 {
	switch errno {
	case 0:
		return 0
	case experimentalsys.EACCES:
		return 2
	case experimentalsys.EAGAIN:
		return 6
	case experimentalsys.EBADF:
		return 8
	case experimentalsys.EEXIST:
		return 20
	case experimentalsys.EFAULT:
		return 21
	case experimentalsys.EINTR:
		return 27
	case experimentalsys.EINVAL:
		return 28
	case experimentalsys.EISDIR:
		return 31
	case experimentalsys.ELOOP:
		return 32
	case experimentalsys.ENAMETOOLONG:
		return 37
	case experimentalsys.ENOENT:
		return 44
	case experimentalsys.ENOSYS:
		return 52
	case experimentalsys.ENOTDIR:
		return 54
	case experimentalsys.ERANGE:
		return 68
	case experimentalsys.ENOTEMPTY:
		return 55
	case experimentalsys.ENOTSOCK:
		return 57
	case experimentalsys.ENOTSUP:
		return 58
	case experimentalsys.EPERM:
		return 63
	case experimentalsys.EROFS:
		return 69
	}
	return 29 // EIO
}

func fdClose(g *guest, _ api.Memory, params []uint64) experimentalsys.Errno {
	return g.close(int32(params[0]))
}

func fdRenumber(g *guest, _ api.Memory, params []uint64) experimentalsys.Errno {
	return g.renumber(int32(params[0]), int32(params[1]))
}

// fdPrestatGet tells about what was preopened: its kind and the length of its name.
func fdPrestatGet(g *guest, memory api.Memory, params []uint64) experimentalsys.Errno {
	fd, result := int32(params[0]), uint32(params[1])
	if _, ok := g.file(fd); !ok {
		return experimentalsys.EBADF
	}
	entry, _ := g.entry(fd)
	if !entry.FieldByName("IsPreopen").Bool() || fd < firstPreopen {
		return experimentalsys.EBADF
	}
	prestat := uint64(preopenSocket)
	if int(fd) >= firstPreopen+len(g.listeners) {
		prestat = uint64(entry.FieldByName("Name").Len()) << 32
	}
	if !memory.WriteUint64Le(result, prestat) {
		return experimentalsys.EFAULT
	}
	return 0
}

// fdRead fills buffers until one is not filled wholly.
func fdRead(g *guest, memory api.Memory, params []uint64) experimentalsys.Errno {
	f, ok := g.file(int32(params[0]))
	if !ok {
		return experimentalsys.EBADF
	}
	return transferAll(memory, uint32(params[1]), uint32(params[2]), uint32(params[3]), f.Read)
}

// fdWrite writes buffers until one is not taken wholly.
func fdWrite(g *guest, memory api.Memory, params []uint64) experimentalsys.Errno {
	f, ok := g.file(int32(params[0]))
	if !ok {
		return experimentalsys.EBADF
	}
	return transferAll(memory, uint32(params[1]), uint32(params[2]), uint32(params[3]), f.Write)
}

// transferAll calls transfer with each of count buffers at vector until one is done in part only, and writes the total
// to result. An error counts only if nothing was transferred before it.
func transferAll(memory api.Memory, vector, count, result uint32, transfer func([]byte) (int, experimentalsys.Errno)) experimentalsys.Errno {
	total := uint32(0)
	for i := range count {
		address, ok1 := memory.ReadUint32Le(vector + 8*i)
		size, ok2 := memory.ReadUint32Le(vector + 8*i + 4)
		if !ok1 || !ok2 {
			return experimentalsys.EFAULT
		}
		if size == 0 {
			continue
		}
		buf, ok := memory.Read(address, size)
		if !ok {
			return experimentalsys.EFAULT
		}
		n, errno := transfer(buf)
		total += uint32(n)
		switch {
		case errno == experimentalsys.ENOSYS:
			return experimentalsys.EBADF // the file cannot do that at all
		case errno != 0 && total == 0:
			return errno
		}
		if errno != 0 || n < len(buf) {
			break
		}
	}
	if !memory.WriteUint32Le(result, total) {
		return experimentalsys.EFAULT
	}
	return 0
}

func sockAccept(g *guest, memory api.Memory, params []uint64) experimentalsys.Errno {
	fd, flags, result := int32(params[0]), uint32(params[1]), uint32(params[2])
	f, ok := g.file(fd)
	if !ok {
		return experimentalsys.EBADF
	}
	listener, ok := f.(*Listener)
	if !ok {
		return experimentalsys.ENOTSOCK
	}
	conn, errno := listener.accept()
	if errno != 0 {
		return errno
	}
	conn.nonblock = flags&flagNonblock != 0
	accepted, errno := g.add(conn)
	if errno != 0 {
		_ = conn.Close()
		return errno
	}
	if !memory.WriteUint32Le(result, uint32(accepted)) {
		_ = g.close(accepted)
		return experimentalsys.EFAULT
	}
	return 0
}

// connection returns the connection of a descriptor.
func (g *guest) connection(fd int32) (*connection, experimentalsys.Errno) {
	f, ok := g.file(fd)
	if !ok {
		return nil, experimentalsys.EBADF
	}
	conn, ok := f.(*connection)
	if !ok {
		return nil, experimentalsys.ENOTSOCK
	}
	return conn, 0
}

func sockRecv(g *guest, memory api.Memory, params []uint64) experimentalsys.Errno {
	conn, errno := g.connection(int32(params[0]))
	if errno != 0 {
		return errno
	}
	flags := uint32(params[3])
	read := conn.Read
	if flags&flagPeek != 0 {
		read = conn.peek
	}
	if flags&^uint32(flagPeek|flagWaitAll) != 0 {
		return experimentalsys.ENOTSUP
	}
	if errno := transferAll(memory, uint32(params[1]), uint32(params[2]), uint32(params[4]), read); errno != 0 {
		return errno
	}
	if !memory.WriteUint16Le(uint32(params[5]), 0) {
		return experimentalsys.EFAULT
	}
	return 0
}

func sockSend(g *guest, memory api.Memory, params []uint64) experimentalsys.Errno {
	conn, errno := g.connection(int32(params[0]))
	if errno != 0 {
		return errno
	}
	if uint32(params[3]) != 0 {
		return experimentalsys.ENOTSUP
	}
	return transferAll(memory, uint32(params[1]), uint32(params[2]), uint32(params[4]), conn.Write)
}

func sockShutdown(g *guest, _ api.Memory, params []uint64) experimentalsys.Errno {
	conn, errno := g.connection(int32(params[0]))
	if errno != 0 {
		return errno
	}
	switch uint32(params[1]) {
	case shutdownRead:
		return conn.Shutdown(unix.SHUT_RD)
	case shutdownWrite:
		return conn.Shutdown(unix.SHUT_WR)
	case shutdownRead | shutdownWrite:
		return conn.Shutdown(unix.SHUT_RDWR)
	}
	return experimentalsys.EINVAL
}

var le = binary.LittleEndian
