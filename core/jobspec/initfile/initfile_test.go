package initfile_test

import (
	"bytes"
	"testing"

	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/seraiproject/serai/core/jobspec"
	"github.com/seraiproject/serai/core/jobspec/initfile"
)

func TestSource(t *testing.T) {
	for _, kind := range initfile.Kinds() {
		for _, short := range []bool{false, true} {
			name := string(kind)
			if short {
				name += "-short"
			}
			t.Run(name, func(t *testing.T) {
				src, err := initfile.Source(kind, short)
				if err != nil {
					t.Fatal(err)
				}
				doc, err := jobspec.Parse(name, src, jobspec.Options{Strict: true})
				if err != nil {
					t.Fatalf("the example does not parse:\n%v", err)
				}
				if w := doc.Warnings(); len(w) > 0 {
					t.Errorf("the example is warned about:\n%v", w)
				}
				if hasComment := bytes.Contains(src, []byte("#")); hasComment == short {
					t.Errorf("has comments: %v, want %v", hasComment, !short)
				}
				if got := hclwrite.Format(src); !bytes.Equal(got, src) {
					t.Errorf("not formatted, want:\n%s", got)
				}
				if kind == initfile.Exec || kind == initfile.Wasm {
					if w := jobspec.Inert(doc); len(w) > 0 {
						t.Errorf("says what is not acted on: %v", w)
					}
				}
			})
		}
	}
}

func TestSourceUnknown(t *testing.T) {
	if _, err := initfile.Source("teapot", false); err == nil {
		t.Error("an unknown kind gives no error")
	}
}
