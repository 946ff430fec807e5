package engine

import (
	"reflect"
	"runtime/debug"

	"github.com/tetratelabs/wazero/api"
)

// release lets go of what an instance needed only to come into being, which for a large module is more than its guest will
// ever use: the functions' bytecode, once there is machine code, and the data that was copied into linear memory. (The
// standard says of the latter that it is dropped then; data for memory.init is kept.)
//
// As for descriptors, the engine offers no door. Where its shape is not as expected, nothing is released: this is only an
// economy. A module can be instantiated once only after that.
func release(instance api.Module) {
	system := reflect.Indirect(reflect.ValueOf(instance))
	if system.Kind() != reflect.Struct {
		return
	}
	source := reflect.Indirect(system.FieldByName("Source"))
	if source.Kind() != reflect.Struct {
		return
	}
	if code := source.FieldByName("CodeSection"); code.Kind() == reflect.Slice {
		for i := range code.Len() {
			clearField(code.Index(i), "Body")
		}
	}
	data, instances := source.FieldByName("DataSection"), system.FieldByName("DataInstances")
	if data.Kind() == reflect.Slice && instances.Kind() == reflect.Slice && data.Len() == instances.Len() {
		for i := range data.Len() {
			passive := data.Index(i).FieldByName("Passive")
			if passive.Kind() != reflect.Bool || passive.Bool() {
				continue
			}
			clearField(data.Index(i), "Init")
			// Machine code refers to the elements of this slice: they are emptied, it stays.
			if element := instances.Index(i); element.CanSet() {
				element.SetZero()
			}
		}
		if data.CanSet() {
			data.SetZero()
		}
	}
	debug.FreeOSMemory()
}

// clearField empties a slice in a struct.
func clearField(s reflect.Value, name string) {
	if s.Kind() != reflect.Struct {
		return
	}
	if f := s.FieldByName(name); f.Kind() == reflect.Slice && f.CanSet() {
		f.SetZero()
	}
}
