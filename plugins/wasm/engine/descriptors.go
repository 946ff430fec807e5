package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"

	"github.com/tetratelabs/wazero/api"
	experimentalsys "github.com/tetratelabs/wazero/experimental/sys"
)

// descriptorTable is what the engine's own table of file descriptors offers, as far as its methods can be named here.
type descriptorTable interface {
	OpenFile(fs experimentalsys.FS, path string, flag experimentalsys.Oflag, perm fs.FileMode) (int32, experimentalsys.Errno)
	CloseFile(fd int32) experimentalsys.Errno
	Renumber(from, to int32) experimentalsys.Errno
}

// descriptors is a guest's table of file descriptors.
//
// The engine keeps the table of an instance to itself: a host function of ours can neither look a descriptor up nor
// add one. Sockets that are handed over need both, so this type reaches the table through the exported fields and
// methods of the instance's concrete type. That rests on the engine's version: newDescriptors fails with a plain error
// if the shape differs, and the tests of this package run into it at once after an upgrade.
//
// A guest has one thread, and only host functions that it has called use the table: there is no lock.
type descriptors struct {
	table  descriptorTable
	lookup reflect.Value // func(int32) (*FileEntry, bool)

	// files remembers what was looked up. Descriptors change hands only by calls that go through this type.
	files map[int32]experimentalsys.File
}

// errTable says that the engine below is not the one this package was written for.
var errTable = errors.New("the WebAssembly engine keeps its descriptors differently than expected")

// newDescriptors opens up the table of an instance. The first preopened descriptors are place-holders for the
// listeners; they are replaced here.
func newDescriptors(instance api.Module, listeners []*Listener) (*descriptors, error) {
	system := reflect.Indirect(reflect.ValueOf(instance))
	if system.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%w: instance is a %s", errTable, system.Kind())
	}
	method := system.FieldByName("Sys")
	if !method.IsValid() || method.IsZero() {
		return nil, fmt.Errorf("%w: no system context", errTable)
	}
	if method = method.MethodByName("FS"); !method.IsValid() {
		return nil, fmt.Errorf("%w: no file system context", errTable)
	}
	context := method.Call(nil)[0]
	table, ok := context.Interface().(descriptorTable)
	lookup := context.MethodByName("LookupFile")
	if !ok || !lookup.IsValid() || lookup.Type().NumIn() != 1 || lookup.Type().NumOut() != 2 {
		return nil, fmt.Errorf("%w: no table of descriptors", errTable)
	}
	d := &descriptors{table: table, lookup: lookup, files: make(map[int32]experimentalsys.File)}
	for i, listener := range listeners {
		if err := d.replace(int32(firstPreopen+i), listener); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// entry returns the engine's entry of a descriptor.
func (d *descriptors) entry(fd int32) (reflect.Value, bool) {
	results := d.lookup.Call([]reflect.Value{reflect.ValueOf(fd)})
	if !results[1].Bool() {
		return reflect.Value{}, false
	}
	return results[0].Elem(), true
}

// file returns the open file of a descriptor.
func (d *descriptors) file(fd int32) (experimentalsys.File, bool) {
	if f, ok := d.files[fd]; ok {
		return f, true
	}
	entry, ok := d.entry(fd)
	if !ok {
		return nil, false
	}
	f, ok := entry.FieldByName("File").Interface().(experimentalsys.File)
	if ok {
		d.files[fd] = f
	}
	return f, ok
}

// replace puts another file in the place of a preopened directory.
func (d *descriptors) replace(fd int32, f experimentalsys.File) error {
	entry, ok := d.entry(fd)
	if !ok {
		return fmt.Errorf("%w: no descriptor %d", errTable, fd)
	}
	slot := entry.FieldByName("File")
	if !slot.CanSet() || !reflect.TypeOf(f).AssignableTo(slot.Type()) {
		return fmt.Errorf("%w: descriptor %d cannot be replaced", errTable, fd)
	}
	slot.Set(reflect.ValueOf(f))
	return nil
}

// add gives a file the lowest free descriptor.
func (d *descriptors) add(f experimentalsys.File) (int32, experimentalsys.Errno) {
	return d.table.OpenFile(oneFile{file: f}, "socket", experimentalsys.O_RDWR, 0)
}

func (d *descriptors) close(fd int32) experimentalsys.Errno {
	delete(d.files, fd)
	return d.table.CloseFile(fd)
}

func (d *descriptors) renumber(from, to int32) experimentalsys.Errno {
	delete(d.files, from)
	delete(d.files, to)
	return d.table.Renumber(from, to)
}

// oneFile is a file system in which every name is the same open file. It is how a file enters the engine's table.
type oneFile struct {
	experimentalsys.UnimplementedFS
	file experimentalsys.File
}

func (o oneFile) OpenFile(string, experimentalsys.Oflag, fs.FileMode) (experimentalsys.File, experimentalsys.Errno) {
	return o.file, 0
}
