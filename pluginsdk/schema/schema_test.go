package schema

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/seraiproject/serai/pluginsdk/proto/hclspecpb"
)

type auth struct {
	User     string `config:"user,required"`
	Password string `config:"password"`
}

type mount struct {
	Source   string `config:"source"`
	ReadOnly bool   `config:"readonly" default:"true"`
}

type shared struct {
	Label string `config:"label"`
}

type everything struct {
	shared
	Image    string              `config:"image,required"`
	Args     []string            `config:"args"`
	Flags    []string            `config:"flags" default:"[\"-v\"]"`
	Timeout  time.Duration       `config:"timeout" default:"10s"`
	Retries  *int                `config:"retries"`
	Ratio    float64             `config:"ratio" default:"0.5"`
	Port     uint16              `config:"port"`
	Labels   map[string]string   `config:"labels"`
	Sysctl   map[string]int      `config:"sysctl,attr"`
	Options  []map[string]string `config:"options"`
	Auth     *auth               `config:"auth"`
	Log      mount               `config:"log"`
	Mounts   []mount             `config:"mount,min=1,max=8"`
	Devices  []*mount            `config:"device,set"`
	Pools    map[string]mount    `config:"pool,label=pool"`
	Extra    any                 `config:"extra"`
	Greeting string              `config:"greeting" default:"say \"${x}\"\n"`
	internal string              //lint:ignore U1000 unexported members are not part of a schema
	Untagged string
}

const everythingSpec = `{"object":{"attributes":{
	"label":{"Attr":{"name":"label","type":"string"}},
	"image":{"Attr":{"name":"image","type":"string","required":true}},
	"args":{"Attr":{"name":"args","type":"list(string)"}},
	"flags":{"default":{"primary":{"Attr":{"name":"flags","type":"list(string)"}},"default":{"literal":{"value":"[\"-v\"]"}}}},
	"timeout":{"default":{"primary":{"Attr":{"name":"timeout","type":"string"}},"default":{"literal":{"value":"\"10s\""}}}},
	"retries":{"Attr":{"name":"retries","type":"number"}},
	"ratio":{"default":{"primary":{"Attr":{"name":"ratio","type":"number"}},"default":{"literal":{"value":"0.5"}}}},
	"port":{"Attr":{"name":"port","type":"number"}},
	"labels":{"blockAttrs":{"name":"labels","type":"string"}},
	"sysctl":{"Attr":{"name":"sysctl","type":"map(number)"}},
	"options":{"Attr":{"name":"options","type":"list(map(string))"}},
	"auth":{"blockValue":{"name":"auth","nested":{"object":{"attributes":{
		"user":{"Attr":{"name":"user","type":"string","required":true}},
		"password":{"Attr":{"name":"password","type":"string"}}}}}}},
	"log":{"blockValue":{"name":"log","nested":MOUNT}},
	"mount":{"blockList":{"name":"mount","minItems":"1","maxItems":"8","nested":MOUNT}},
	"device":{"blockSet":{"name":"device","nested":MOUNT}},
	"pool":{"blockMap":{"name":"pool","labels":["pool"],"nested":MOUNT}},
	"extra":{"Attr":{"name":"extra","type":"any"}},
	"greeting":{"default":{"primary":{"Attr":{"name":"greeting","type":"string"}},
		"default":{"literal":{"value":"\"say \\\"$${x}\\\"\\n\""}}}}
}}}`

const mountSpec = `{"object":{"attributes":{
	"source":{"Attr":{"name":"source","type":"string"}},
	"readonly":{"default":{"primary":{"Attr":{"name":"readonly","type":"bool"}},"default":{"literal":{"value":"true"}}}}}}}`

func TestSpecOfEveryKindOfField(t *testing.T) {
	got, err := Spec[everything]()
	if err != nil {
		t.Fatal(err)
	}
	want := &hclspecpb.Spec{}
	if err := protojson.Unmarshal([]byte(strings.ReplaceAll(everythingSpec, "MOUNT", mountSpec)), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Errorf("schema differs:\n%s", cmp.Diff(protojson.Format(want), protojson.Format(got)))
	}
	if s, err := Spec[struct{ X int }](); s != nil || err != nil {
		t.Errorf("schema of a struct without fields: %v, %v", s, err)
	}
}

type recursive struct {
	Next *recursive `config:"next"`
}

func TestSpecRefusals(t *testing.T) {
	cases := map[string]struct {
		spec func() (*hclspecpb.Spec, error)
		text string
	}{
		"channel": {Spec[struct {
			X chan int `config:"x"`
		}], "cannot be configured"},
		"recursion": {Spec[recursive], "contains itself"},
		"unexported": {Spec[struct {
			x int `config:"x"`
		}], "not exported"},
		"no name": {Spec[struct {
			X int `config:",required"`
		}], "without a name"},
		"option": {Spec[struct {
			X int `config:"x,requird"`
		}], `"requird" is not known`},
		"bad default": {Spec[struct {
			X int `config:"x" default:"many"`
		}], `default "many"`},
		"bad duration": {Spec[struct {
			X time.Duration `config:"x" default:"10"`
		}], `default "10"`},
		"default of block": {Spec[struct {
			X mount `config:"x" default:"{}"`
		}], "no default"},
		"both": {Spec[struct {
			X int `config:"x,required" default:"1"`
		}], "required and with a default"},
		"twice": {Spec[struct {
			X, Y int `config:"x"`
		}], "used twice"},
		"not a struct": {Spec[int], "not a struct"},
		"limit": {Spec[struct {
			X []mount `config:"x,max=some"`
		}], "not a count"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if _, err := c.spec(); err == nil || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v, want %q", err, c.text)
			}
		})
	}
}

// pack is a small MessagePack writer, independent of the one under test.
func pack(v any) []byte {
	switch v := v.(type) {
	case nil:
		return []byte{0xc0}
	case bool:
		if v {
			return []byte{0xc3}
		}
		return []byte{0xc2}
	case int:
		return []byte{0xd3, byte(v >> 56), byte(v >> 48), byte(v >> 40), byte(v >> 32), byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
	case float64:
		n := math.Float64bits(v)
		return []byte{0xcb, byte(n >> 56), byte(n >> 48), byte(n >> 40), byte(n >> 32), byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
	case string:
		return append([]byte{0xda, byte(len(v) >> 8), byte(len(v))}, v...)
	case []any:
		b := []byte{0xdc, byte(len(v) >> 8), byte(len(v))}
		for _, e := range v {
			b = append(b, pack(e)...)
		}
		return b
	case map[string]any:
		b := []byte{0xde, byte(len(v) >> 8), byte(len(v))}
		for k, e := range v {
			b = append(append(b, pack(k)...), pack(e)...)
		}
		return b
	}
	panic("no such value")
}

func TestDecode(t *testing.T) {
	retries := 3
	defaults := everything{
		Flags: []string{"-v"}, Timeout: 10 * time.Second, Ratio: 0.5,
		Log: mount{ReadOnly: true}, Greeting: "say \"${x}\"\n",
	}
	full := defaults
	full.shared.Label = "l"
	full.Image, full.Args, full.Flags = "alpine", []string{"a", "b"}, []string{}
	full.Timeout, full.Retries, full.Ratio, full.Port = time.Minute, &retries, 0.1, 8080
	full.Labels = map[string]string{"x": "y"}
	full.Sysctl = map[string]int{"n": 1}
	full.Options = []map[string]string{{"k": "v"}}
	full.Auth = &auth{User: "u"}
	full.Log = mount{Source: "/var", ReadOnly: true}
	full.Mounts = []mount{{Source: "/a", ReadOnly: false}, {Source: "/b", ReadOnly: true}}
	full.Devices = []*mount{{Source: "/d", ReadOnly: true}}
	full.Pools = map[string]mount{"p": {Source: "/p", ReadOnly: true}}
	full.Extra = map[string]any{"list": []any{int64(1), "two", nil, 2.5, true}}

	cases := map[string]struct {
		data []byte
		want everything
	}{
		"nothing": {nil, defaults},
		"null":    {pack(nil), defaults},
		"nulls":   {pack(map[string]any{"image": nil, "flags": nil, "log": nil, "unknown": 1}), defaults},
		"full": {pack(map[string]any{
			"label": "l", "image": "alpine", "args": []any{"a", "b"}, "flags": []any{}, "timeout": "1m",
			"retries": 3, "ratio": "0.1", "port": 8080,
			"labels":  map[string]any{"x": "y"},
			"sysctl":  []any{map[string]any{"n": 1}},
			"options": []any{map[string]any{"k": "v"}},
			"auth":    map[string]any{"user": "u", "password": nil},
			"log":     []any{map[string]any{"source": "/var"}},
			"mount":   []any{map[string]any{"source": "/a", "readonly": false}, map[string]any{"source": "/b", "readonly": nil}},
			"device":  []any{map[string]any{"source": "/d"}},
			"pool":    map[string]any{"p": map[string]any{"source": "/p"}},
			"extra":   map[string]any{"list": []any{1, "two", nil, 2.5, true}},
		}), full},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got everything
			if err := Decode(c.data, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(everything{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDecodeNamesEveryFault(t *testing.T) {
	var v everything
	err := Decode(pack(map[string]any{
		"image": 5, "args": "one", "port": 70000, "retries": 1.5, "timeout": "soon",
		"mount": []any{map[string]any{"readonly": "maybe"}},
		"pool":  map[string]any{"p": []any{}},
	}), &v)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		"image: want text, have 5",
		`args: want a list, have "one"`,
		"port: want a whole number of 16 bits, not negative, have 70000",
		"retries: want a whole number of 64 bits, have 1.5",
		`timeout: want a duration such as "10s", have "soon"`,
		`mount[0].readonly: want true or false, have "maybe"`,
		"pool.p: want a block, have a list of 0",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
}

func TestUnpackForms(t *testing.T) {
	cases := map[string]struct {
		data string
		want any
	}{
		"fixint":    {"\x7f", int64(127)},
		"negative":  {"\xe0", int64(-32)},
		"uint8":     {"\xcc\xff", int64(255)},
		"uint64":    {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", uint64(math.MaxUint64)},
		"int8":      {"\xd0\x80", int64(-128)},
		"int16":     {"\xd1\xff\xfe", int64(-2)},
		"int32":     {"\xd2\xff\xff\xff\xff", int64(-1)},
		"int64":     {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", int64(math.MinInt64)},
		"float32":   {"\xca\x3f\xc0\x00\x00", 1.5},
		"float64":   {"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", 1.5},
		"fixstr":    {"\xa1x", "x"},
		"str8":      {"\xd9\x01x", "x"},
		"bin8":      {"\xc4\x01x", "x"},
		"str32":     {"\xdb\x00\x00\x00\x01x", "x"},
		"array32":   {"\xdd\x00\x00\x00\x01\xc0", []any{nil}},
		"map32":     {"\xdf\x00\x00\x00\x01\xa1x\xc3", map[string]any{"x": true}},
		"reference": {"\x84\xa1a\xc0\xa1b\x91\xa1x\xa1f\xa30.1\xa1n\xcd\x05\x39", map[string]any{"a": nil, "b": []any{"x"}, "f": "0.1", "n": int64(1337)}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := unpack([]byte(c.data))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, bad := range []string{"", "\xa2x", "\xdd\xff\xff\xff\xff", "\xdf\x7f\xff\xff\xff", "\x81\x01\x01", "\xc1", "\xc7", "\xc0\xc0", strings.Repeat("\x91", 1000)} {
		if v, err := unpack([]byte(bad)); err == nil {
			t.Errorf("%q is read as %v", bad, v)
		}
	}
}

// FuzzDecode looks for bytes that break the reader, and checks that what is accepted is accepted again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("\x84\xa1a\xc0\xa1b\x91\xa1x\xa1f\xa30.1\xa1n\xcd\x05\x39"))
	f.Add(pack(map[string]any{"image": "x", "mount": []any{map[string]any{"source": "/a"}}, "extra": 1.5}))
	f.Add([]byte("\xdd\x00\x00\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var first, second everything
		if Decode(data, &first) != nil {
			return
		}
		if err := Decode(data, &second); err != nil {
			t.Fatalf("accepted, then refused: %v", err)
		}
		if first.Extra == nil && !cmp.Equal(first, second, cmp.AllowUnexported(everything{}), cmp.Comparer(func(a, b float64) bool {
			return a == b || a != a && b != b
		})) {
			t.Fatal("decoded differently the second time")
		}
	})
}
