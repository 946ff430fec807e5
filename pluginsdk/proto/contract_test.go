package proto

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/seraiproject/serai/pluginsdk/proto/basepb"
	"github.com/seraiproject/serai/pluginsdk/proto/devicepb"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
	"github.com/seraiproject/serai/pluginsdk/proto/hclspecpb"
	"github.com/seraiproject/serai/pluginsdk/proto/structspb"
)

var update = flag.Bool("update", false, "write testdata/contract.txt; only for additions to the protocol")

const golden = "testdata/contract.txt"

// TestContract holds the wire contract still: plugins and hosts built elsewhere depend on every line of it.
func TestContract(t *testing.T) {
	var out strings.Builder
	for _, f := range []protoreflect.FileDescriptor{
		basepb.File_basepb_base_proto,
		driverpb.File_driverpb_driver_proto,
		devicepb.File_devicepb_device_proto,
		hclspecpb.File_hclspecpb_hclspec_proto,
		structspb.File_structspb_structs_proto,
	} {
		describe(&out, f)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(out.String(), "\n")); diff != "" {
		t.Errorf("the wire contract changed (-frozen +now):\n%s", diff)
	}
}

func describe(out *strings.Builder, f protoreflect.FileDescriptor) {
	fmt.Fprintf(out, "package %s (%s)\n", f.Package(), f.Syntax())
	for i := range f.Services().Len() {
		s := f.Services().Get(i)
		for j := range s.Methods().Len() {
			m := s.Methods().Get(j)
			fmt.Fprintf(out, "rpc /%s/%s: %s -> %s\n", s.FullName(), m.Name(),
				flow(m.IsStreamingClient(), m.Input()), flow(m.IsStreamingServer(), m.Output()))
		}
	}
	describeEnums(out, f.Enums())
	describeMessages(out, f.Messages())
	out.WriteByte('\n')
}

func flow(stream bool, m protoreflect.MessageDescriptor) string {
	if stream {
		return "stream " + string(m.FullName())
	}
	return string(m.FullName())
}

func describeEnums(out *strings.Builder, enums protoreflect.EnumDescriptors) {
	for i := range enums.Len() {
		e := enums.Get(i)
		var values []string
		for j := range e.Values().Len() {
			v := e.Values().Get(j)
			values = append(values, fmt.Sprintf("%s=%d", v.Name(), v.Number()))
		}
		fmt.Fprintf(out, "enum %s: %s\n", e.FullName(), strings.Join(values, " "))
	}
}

func describeMessages(out *strings.Builder, messages protoreflect.MessageDescriptors) {
	for i := range messages.Len() {
		m := messages.Get(i)
		if m.IsMapEntry() {
			continue
		}
		fmt.Fprintf(out, "message %s\n", m.FullName())
		fields := make([]protoreflect.FieldDescriptor, m.Fields().Len())
		for j := range fields {
			fields[j] = m.Fields().Get(j)
		}
		sort.Slice(fields, func(a, b int) bool { return fields[a].Number() < fields[b].Number() })
		for _, f := range fields {
			fmt.Fprintf(out, "  %d %s %s%s\n", f.Number(), f.Name(), fieldType(f), oneof(f))
		}
		for j := range m.ReservedRanges().Len() {
			r := m.ReservedRanges().Get(j)
			fmt.Fprintf(out, "  reserved %d-%d\n", r[0], r[1]-1)
		}
		describeEnums(out, m.Enums())
		describeMessages(out, m.Messages())
	}
}

func fieldType(f protoreflect.FieldDescriptor) string {
	switch {
	case f.IsMap():
		return fmt.Sprintf("map<%s, %s>", fieldType(f.MapKey()), fieldType(f.MapValue()))
	case f.IsList() && f.IsPacked():
		return "repeated packed " + elementType(f)
	case f.IsList():
		return "repeated " + elementType(f)
	}
	return elementType(f)
}

func elementType(f protoreflect.FieldDescriptor) string {
	switch {
	case f.Message() != nil:
		return string(f.Message().FullName())
	case f.Enum() != nil:
		return string(f.Enum().FullName())
	}
	return f.Kind().String()
}

func oneof(f protoreflect.FieldDescriptor) string {
	if o := f.ContainingOneof(); o != nil {
		return " oneof " + string(o.Name())
	}
	return ""
}
