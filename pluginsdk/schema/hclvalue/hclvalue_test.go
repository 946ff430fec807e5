package hclvalue

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/zclconf/go-cty/cty"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/seraiproject/serai/pluginsdk/proto/hclspecpb"
	"github.com/seraiproject/serai/pluginsdk/schema"
)

// spec reads a schema from the JSON form of its messages.
func spec(t testing.TB, text string) *hclspecpb.Spec {
	t.Helper()
	s := &hclspecpb.Spec{}
	if err := protojson.Unmarshal([]byte(text), s); err != nil {
		t.Fatalf("schema %s: %v", text, err)
	}
	return s
}

func attr(typ string) string { return `{"Attr":{"type":"` + typ + `"}}` }

func object(members string) string { return `{"object":{"attributes":{` + members + `}}}` }

// decoded is a configuration as JSON over HTTP brings it.
func decoded(t testing.TB, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("configuration %s: %v", text, err)
	}
	return v
}

// shown turns a value into JSON for comparison.
func shown(v cty.Value) any {
	if v.IsNull() {
		return nil
	}
	t := v.Type()
	switch {
	case t == cty.String:
		return v.AsString()
	case t == cty.Bool:
		return v.True()
	case t == cty.Number:
		f, _ := v.AsBigFloat().Float64()
		return f
	case t.IsObjectType(), t.IsMapType():
		out := map[string]any{}
		for k, e := range v.AsValueMap() {
			out[k] = shown(e)
		}
		return out
	}
	out := []any{}
	for _, e := range v.AsValueSlice() {
		out = append(out, shown(e))
	}
	return out
}

const nested = `{"object":{"attributes":{"x":{"Attr":{"type":"number"}}}}}`

func TestEvaluate(t *testing.T) {
	cases := []struct {
		name, spec, config, want string
	}{
		{"attribute", object(`"a":` + attr("string")), `{"a":"x"}`, `{"a":"x"}`},
		{"absent attribute is null", object(`"a":` + attr("list(string)")), `{}`, `{"a":null}`},
		{"null is absent", object(`"a":` + attr("string")), `{"a":null}`, `{"a":null}`},
		{"number as text", object(`"a":` + attr("number")), `{"a":"12"}`, `{"a":12}`},
		{"text as number", object(`"a":` + attr("string")), `{"a":5}`, `{"a":"5"}`},
		{"bool as text", object(`"a":` + attr("bool")), `{"a":"true"}`, `{"a":true}`},
		{"text as bool", object(`"a":` + attr("string")), `{"a":true}`, `{"a":"true"}`},
		{"single as list", object(`"a":` + attr("list(string)")), `{"a":"x"}`, `{"a":["x"]}`},
		{"list of one as single", object(`"a":` + attr("string")), `{"a":["x"]}`, `{"a":"x"}`},
		{"numbers in a list of text", object(`"a":` + attr("list(string)")), `{"a":[1,true,"x"]}`, `{"a":["1","true","x"]}`},
		{"set", object(`"a":` + attr("set(string)")), `{"a":["b","a","b"]}`, `{"a":["a","b"]}`},
		{"map", object(`"a":` + attr("map(string)")), `{"a":{"k":1}}`, `{"a":{"k":"1"}}`},
		{"map from a list of one", object(`"a":` + attr("map(string)")), `{"a":[{"k":"v"}]}`, `{"a":{"k":"v"}}`},
		{"list of maps from a map", object(`"a":` + attr("list(map(string))")), `{"a":{"k":"v"}}`, `{"a":[{"k":"v"}]}`},
		{"list of maps", object(`"a":` + attr("list(map(string))")), `{"a":[{"k":"v"},{"l":"w"}]}`, `{"a":[{"k":"v"},{"l":"w"}]}`},
		{"object", object(`"a":` + attr("object({b=string,c=number})")), `{"a":[{"b":"x","c":"3"}]}`, `{"a":{"b":"x","c":3}}`},
		{"tuple", object(`"a":` + attr("tuple([string,number])")), `{"a":[1,"2"]}`, `{"a":["1",2]}`},
		{"any keeps its shape", object(`"a":` + attr("any")), `{"a":[{"x":[1,"a",null,{}]}]}`, `{"a":[{"x":[1,"a",null,{}]}]}`},
		{"list of any", object(`"a":` + attr("list(any)")), `{"a":[1,"a"]}`, `{"a":[1,"a"]}`},
		{"other name", object(`"a":{"Attr":{"name":"b","type":"string"}}`), `{"b":"x"}`, `{"a":"x"}`},
		{"comment", object(`"a":` + attr("string")), `{"a":"x","//":"because"}`, `{"a":"x"}`},

		{"block", object(`"b":{"block_value":{"nested":` + nested + `}}`), `{"b":{"x":"1"}}`, `{"b":{"x":1}}`},
		{"block as a list of one", object(`"b":{"block_value":{"nested":` + nested + `}}`), `{"b":[{"x":1}]}`, `{"b":{"x":1}}`},
		{"absent block", object(`"b":{"block_value":{"nested":` + nested + `}}`), `{}`, `{"b":null}`},
		{"empty block", object(`"b":{"block_value":{"nested":` + nested + `}}`), `{"b":{}}`, `{"b":{"x":null}}`},
		{"free names", object(`"b":{"block_attrs":{"type":"string"}}`), `{"b":[{"k":1,"l":"v"}]}`, `{"b":{"k":"1","l":"v"}}`},
		{"absent free names", object(`"b":{"block_attrs":{"type":"string"}}`), `{}`, `{"b":null}`},
		{"block list", object(`"b":{"block_list":{"nested":` + nested + `}}`), `{"b":[{"x":2},{"x":1}]}`, `{"b":[{"x":2},{"x":1}]}`},
		{"block list of one object", object(`"b":{"block_list":{"nested":` + nested + `}}`), `{"b":{"x":2}}`, `{"b":[{"x":2}]}`},
		{"absent block list", object(`"b":{"block_list":{"nested":` + nested + `}}`), `{}`, `{"b":[]}`},
		{"block set", object(`"b":{"block_set":{"nested":` + nested + `}}`), `{"b":[{"x":2},{"x":2}]}`, `{"b":[{"x":2}]}`},
		{"absent block set", object(`"b":{"block_set":{"nested":` + nested + `}}`), `{}`, `{"b":[]}`},
		{"block map", object(`"b":{"block_map":{"labels":["n"],"nested":` + nested + `}}`), `{"b":{"p":{"x":1},"q":[{"x":2}]}}`, `{"b":{"p":{"x":1},"q":{"x":2}}}`},
		{"block map of lists", object(`"b":{"block_map":{"labels":["n"],"nested":` + nested + `}}`), `{"b":[{"p":[{"x":1}]},{"q":[{"x":2}]}]}`, `{"b":{"p":{"x":1},"q":{"x":2}}}`},
		{"two labels", object(`"b":{"block_map":{"labels":["n","m"],"nested":` + nested + `}}`), `{"b":{"p":{"q":{"x":1}}}}`, `{"b":{"p":{"q":{"x":1}}}}`},
		{"absent block map", object(`"b":{"block_map":{"labels":["n"],"nested":` + nested + `}}`), `{}`, `{"b":{}}`},

		{"default of an attribute", object(`"a":{"default":{"primary":{"Attr":{"name":"a","type":"string"}},"default":{"literal":{"value":"upper(\"x\")"}}}}`), `{}`, `{"a":"X"}`},
		{"default not wanted", object(`"a":{"default":{"primary":{"Attr":{"name":"a","type":"string"}},"default":{"literal":{"value":"\"x\""}}}}`), `{"a":"y"}`, `{"a":"y"}`},
		{"default is not converted", object(`"a":{"default":{"primary":{"Attr":{"name":"a","type":"string"}},"default":{"literal":{"value":"5"}}}}`), `{}`, `{"a":5}`},
		{"default of a block", object(`"b":{"default":{"primary":{"block_value":{"name":"b","nested":` + nested + `}},"default":{"literal":{"value":"{x=7}"}}}}`), `{}`, `{"b":{"x":7}}`},
		{"default by another attribute", object(`"a":{"default":{"primary":{"Attr":{"name":"new","type":"string"}},"default":{"Attr":{"name":"old","type":"string"}}}}`), `{"old":"o"}`, `{"a":"o"}`},
		{"literal", object(`"a":{"literal":{"value":"[1, max(2, 3)]"}}`), `{}`, `{"a":[1,3]}`},
		{"array", object(`"a":{"array":{"values":[{"Attr":{"name":"x","type":"string"}},{"literal":{"value":"true"}}]}}`), `{"x":"1"}`, `{"a":["1",true]}`},
		{"object in an object", object(`"o":` + object(`"a":`+attr("string"))), `{"a":"x"}`, `{"o":{"a":"x"}}`},
		{"list of one at the root", object(`"a":` + attr("string")), `[{"a":"x"}]`, `{"a":"x"}`},
		{"no configuration", object(`"a":` + attr("string")), `null`, `{"a":null}`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			v, err := Evaluate(spec(t, c.spec), decoded(t, c.config), nil)
			if err != nil {
				t.Fatal(err)
			}
			var want any
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, shown(v)); diff != "" {
				t.Error(diff)
			}
			if _, err := Marshal(v); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFaultsCarryPaths(t *testing.T) {
	blocks := `"b":{"block_list":{"min_items":"1","max_items":"2","nested":` + object(`"x":{"Attr":{"type":"number","required":true}}`) + `}}`
	cases := []struct {
		name, spec, config string
		want               []string
	}{
		{"required", object(`"a":{"Attr":{"type":"string","required":true}}`), `{}`, []string{"a: required and not given"}},
		{"required null", object(`"a":{"Attr":{"type":"string","required":true}}`), `{"a":null}`, []string{"a: required and not given"}},
		{"unknown", object(`"a":` + attr("string")), `{"b":1}`, []string{`b: no argument or block type is named "b"; there are a`}},
		{"conversion", object(`"a":` + attr("number")), `{"a":"12x"}`, []string{`a: want number, have "12x"`}},
		{"yes is not true", object(`"a":` + attr("bool")), `{"a":"yes"}`, []string{`a: want bool, have "yes"`}},
		{"in a list", object(`"a":` + attr("list(number)")), `{"a":[1,"x"]}`, []string{`a[1]: want number, have "x"`}},
		{"in a map", object(`"a":` + attr("map(number)")), `{"a":{"k":"x"}}`, []string{`a.k: want number, have "x"`}},
		{"list for a scalar", object(`"a":` + attr("string")), `{"a":["x","y"]}`, []string{"a: want string, have a list of 2"}},
		{"object for a scalar", object(`"a":` + attr("string")), `{"a":{"k":1}}`, []string{"a: want string, have an object of 1"}},
		{"empty object for a scalar", object(`"a":` + attr("string")), `{"a":{}}`, []string{"a: want string, have an object of 0"}},
		{"object member", object(`"a":` + attr("object({b=string})")), `{"a":{"c":1}}`, []string{`a.c: no argument is named "c"`, "a.b: required and not given"}},
		{"tuple length", object(`"a":` + attr("tuple([string])")), `{"a":["x","y"]}`, []string{"a: want 1 values, have 2"}},
		{"too few blocks", object(blocks), `{}`, []string{"b: at least 1 blocks must be given, there are 0"}},
		{"too many blocks", object(blocks), `{"b":[{"x":1},{"x":1},{"x":1}]}`, []string{"b: at most 2 blocks may be given, there are 3"}},
		{"in a block", object(blocks), `{"b":[{"x":1},{"y":1}]}`, []string{`b[1].y: no argument or block type is named "y"; there are x`, "b[1].x: required and not given"}},
		{"not a block", object(blocks), `{"b":["x"]}`, []string{`b[0]: want a block, have "x"`, "b: at least 1 blocks must be given, there are 0"}},
		{"two blocks for one", object(`"b":{"block_value":{"nested":` + nested + `}}`), `{"b":[{},{}]}`, []string{"b: only one block may be given, there are 2"}},
		{"required block", object(`"b":{"block_value":{"required":true,"nested":` + nested + `}}`), `{}`, []string{"b: required and not given"}},
		{"required free names", object(`"b":{"block_attrs":{"required":true,"type":"string"}}`), `{}`, []string{"b: required and not given"}},
		{"same label twice", object(`"b":{"block_map":{"labels":["pool"],"nested":` + nested + `}}`), `{"b":[{"p":{}},{"p":{}}]}`, []string{"b.p: 2 blocks have the same pool"}},
		{"giant", object(`"a":` + attr("string")), `{"a":1e1000000000}`, []string{"a: number is out of range"}},
		{"tiny", object(`"a":` + attr("bool")), `{"a":1e-100000000}`, []string{"a: number is out of range"}},
		{"giant text", object(`"a":` + attr("number")), `{"a":"1e1000000000"}`, []string{"a: number is out of range"}},
		{"root", object(``), `"x"`, []string{`want one block, have "x"`}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Encode(spec(t, c.spec), decoded(t, c.config), nil)
			var faults *Error
			if !errors.As(err, &faults) {
				t.Fatalf("error %v", err)
			}
			var got []string
			for _, f := range faults.Faults {
				got = append(got, strings.TrimPrefix(f.Path+": "+f.Message, ": "))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFaultySchemas(t *testing.T) {
	for name, text := range map[string]string{
		"type":           object(`"a":` + attr("strnig")),
		"empty type":     object(`"a":` + attr("")),
		"empty node":     object(`"a":{}`),
		"literal":        object(`"a":{"literal":{"value":"nope"}}`),
		"unnamed":        object(`"a":{"default":{"primary":{"Attr":{"type":"string"}},"default":{"literal":{"value":"1"}}}}`),
		"no labels":      object(`"a":{"block_map":{"nested":` + nested + `}}`),
		"root attribute": `{"Attr":{"name":"a","type":"string"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Encode(spec(t, text), map[string]any{}, nil)
			var faults *Error
			if err == nil || errors.As(err, &faults) || !strings.Contains(err.Error(), "faulty schema") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestNoSchemaTakesNoConfiguration(t *testing.T) {
	for _, config := range []any{nil, map[string]any{}, []map[string]any{}} {
		if data, err := Encode(nil, config, nil); err != nil || data != nil {
			t.Errorf("config %v: % x, %v", config, data, err)
		}
	}
	if _, err := Encode(nil, map[string]any{"a": 1}, nil); err == nil {
		t.Error("configuration without a schema was taken")
	}
	if data, err := Encode(spec(t, `{"object":{}}`), nil, nil); err != nil || string(data) != "\x80" {
		t.Errorf("empty schema: % x, %v", data, err)
	}
}

func TestTemplates(t *testing.T) {
	s := spec(t, object(`"a":`+attr("list(string)")+`,"n":`+attr("number")+`,"m":`+attr("map(string)")))
	vars := map[string]cty.Value{
		"NOMAD_PORT_http": cty.StringVal("8080"),
		"env":             cty.MapVal(map[string]cty.Value{"HOME": cty.StringVal("/opt")}),
		"list":            cty.TupleVal([]cty.Value{cty.StringVal("x"), cty.StringVal("y")}),
	}
	v, err := Evaluate(s, map[string]any{
		"a": []any{"--port=${NOMAD_PORT_http}", `${env["HOME"]}/bin`, "$${kept}", "plain"},
		"n": "${NOMAD_PORT_http}",
		"m": map[string]any{"p${NOMAD_PORT_http}": "x"},
	}, vars)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"a": []any{"--port=8080", "/opt/bin", "${kept}", "plain"},
		"n": 8080.0,
		"m": map[string]any{"p8080": "x"},
	}
	if diff := cmp.Diff(want, shown(v)); diff != "" {
		t.Error(diff)
	}
	_, err = Evaluate(s, map[string]any{"a": []any{"${NOMAD_PORT_db}"}}, vars)
	if err == nil || !strings.Contains(err.Error(), "a[0]:") || !strings.Contains(err.Error(), "NOMAD_PORT_db") {
		t.Errorf("unknown variable: %v", err)
	}
	v, err = Evaluate(s, map[string]any{"a": []any{"${not a template}"}}, nil)
	if err != nil || v.GetAttr("a").AsValueSlice()[0].AsString() != "${not a template}" {
		t.Errorf("without variables: %#v, %v", v, err)
	}
}

func TestMarshal(t *testing.T) {
	cases := map[string]struct {
		value cty.Value
		want  string
	}{
		"reference": {cty.ObjectVal(map[string]cty.Value{
			"a": cty.NullVal(cty.String), "b": cty.ListVal([]cty.Value{cty.StringVal("x")}), "n": cty.NumberIntVal(1337),
		}), "83a161c0a16291a178a16ecd0539"},
		"fraction":       {cty.NumberFloatVal(1.5), "cb3ff8000000000000"},
		"inexact":        {cty.MustParseNumberVal("0.1"), "cb3fb999999999999a"},
		"beyond 64 bits": {cty.MustParseNumberVal("18446744073709551616"), "b43138343436373434303733373039353531363136"},
		"null any":       {cty.NullVal(cty.DynamicPseudoType), "c0"},
		"empty":          {cty.EmptyObjectVal, "80"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Marshal(c.value)
			if err != nil || hex.EncodeToString(got) != c.want {
				t.Errorf("% x, %v; want %s", got, err, c.want)
			}
		})
	}
	if _, err := Marshal(cty.UnknownVal(cty.String)); err == nil {
		t.Error("an unknown value was written")
	}
}

func TestMarshalSmallestForms(t *testing.T) {
	for n, want := range map[int64]string{
		0: "00", 127: "7f", 128: "cc80", 255: "ccff", 256: "cd0100", 65535: "cdffff", 65536: "ce00010000",
		1 << 31: "ce80000000", 1 << 32: "cf0000000100000000", 1<<63 - 1: "cf7fffffffffffffff",
		-1: "ff", -32: "e0", -33: "d0df", -128: "d080", -129: "d1ff7f", -32768: "d18000", -32769: "d2ffff7fff",
		-1 << 31: "d280000000", -1<<31 - 1: "d3ffffffff7fffffff", -1 << 63: "d38000000000000000",
	} {
		if got, err := Marshal(cty.NumberIntVal(n)); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%d: % x, %v; want %s", n, got, err, want)
		}
	}
	for n, head := range map[int]string{0: "a0", 31: "bf", 32: "d920", 255: "d9ff", 256: "da0100", 65536: "db00010000"} {
		if got, err := Marshal(cty.StringVal(strings.Repeat("x", n))); err != nil || hex.EncodeToString(got[:len(got)-n]) != head {
			t.Errorf("text of %d bytes: head % x, %v; want %s", n, got[:len(got)-n], err, head)
		}
	}
	for n, heads := range map[int][2]string{0: {"90", "80"}, 15: {"9f", "8f"}, 16: {"dc0010", "de0010"}, 65536: {"dd00010000", "df00010000"}} {
		list, members := make([]cty.Value, n), make(map[string]cty.Value, n)
		for i := range n {
			list[i], members[strconv.Itoa(i)] = cty.True, cty.True
		}
		for i, v := range []cty.Value{cty.TupleVal(list), cty.ObjectVal(members)} {
			if got, err := Marshal(v); err != nil || !strings.HasPrefix(hex.EncodeToString(got), heads[i]) {
				t.Errorf("%d elements: % .5x, %v; want %s", n, got, err, heads[i])
			}
		}
	}
}

// TestOtherPluginsDecode reads the bytes with the decoder, and the settings, of plugins that are not ours.
func TestOtherPluginsDecode(t *testing.T) {
	handle := &codec.MsgpackHandle{}
	handle.RawToString = true
	handle.BasicHandle.TimeNotBuiltin = true
	handle.MapType = reflect.TypeFor[map[string]any]()

	s := spec(t, object(`"image":`+attr("string")+`,"ratio":`+attr("number")+`,"args":`+attr("list(string)")+
		`,"labels":`+attr("list(map(string))")+`,"auth":{"block_value":{"nested":`+object(`"user":`+attr("string"))+`}},"none":`+attr("string")))
	data, err := Encode(s, decoded(t, `{"image":"alpine","ratio":0.1,"args":["a"],"labels":{"k":"v"},"auth":[{"user":"u"}]}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	type driverConfig struct {
		Image  string              `codec:"image"`
		Ratio  float64             `codec:"ratio"`
		Args   []string            `codec:"args"`
		Labels []map[string]string `codec:"labels"`
		Auth   struct {
			User string `codec:"user"`
		} `codec:"auth"`
		None string `codec:"none"`
	}
	var got driverConfig
	if err := codec.NewDecoderBytes(data, handle).Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := driverConfig{Image: "alpine", Ratio: 0.1, Args: []string{"a"}, Labels: []map[string]string{{"k": "v"}}}
	want.Auth.User = "u"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

type roundTrip struct {
	Name  string            `config:"name"`
	Count int64             `config:"count"`
	Share float64           `config:"share" default:"0.5"`
	Tags  []string          `config:"tags"`
	Env   map[string]string `config:"env"`
	Parts []struct {
		Size uint32 `config:"size"`
	} `config:"part"`
	Extra any `config:"extra"`
}

// FuzzEncode feeds configurations through the host's half and the plugin's half. What the one accepts, the other
// must read or refuse by name, and nothing may break.
func FuzzEncode(f *testing.F) {
	f.Add(`{"name":"x","count":"5","share":0.1,"tags":"a","env":[{"k":1}],"part":{"size":3},"extra":[{}]}`, true)
	f.Add(`{"name":["${x}"],"extra":"%{ if true }a%{ endif }"}`, true)
	f.Add(`{"count":1e30,"part":[{"size":-1}]}`, false)
	s, err := schema.Spec[roundTrip]()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string, templates bool) {
		var config any
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		if d.Decode(&config) != nil {
			return
		}
		var vars map[string]cty.Value
		if templates {
			vars = map[string]cty.Value{"x": cty.StringVal("v")}
		}
		data, err := Encode(s, config, vars)
		if err != nil {
			var faults *Error
			if !errors.As(err, &faults) {
				t.Fatalf("configuration %s: not a fault of it: %v", text, err)
			}
			return
		}
		var out roundTrip
		if err := schema.Decode(data, &out); err != nil && !strings.Contains(err.Error(), ": want ") {
			t.Fatalf("configuration %s: bytes % x: %v", text, data, err)
		}
	})
}
