package host

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seraiproject/serai/pluginsdk/internal/wire"
)

func TestForwardedLines(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"structured":      {`{"@level":"warn","@message":"disk slow","@timestamp":"2026-11-25T02:00:00.000000Z","@module":"exec","ms":20,"alloc":"6f"}`, `level=WARN msg="disk slow" module=exec alloc=6f ms=20`},
		"trace":           {`{"@level":"trace","@message":"m"}`, `level=DEBUG-4 msg=m`},
		"level no text":   {`{"@level":3,"@message":"m"}`, `level=DEBUG msg="{\"@level\":3,\"@message\":\"m\"}"`},
		"message no text": {`{"@level":"info","@message":{}}`, `level=DEBUG msg="{\"@level\":\"info\",\"@message\":{}}"`},
		"other JSON":      {`{"a":1}`, `level=DEBUG msg="{\"a\":1}"`},
		"tagged":          {"[ERROR] it broke", `level=ERROR msg="it broke"`},
		"plain":           {"hello", `level=DEBUG msg=hello`},
		"crash":           {"panic: oh no\n\ngoroutine 1:\nmain.main()", "level=ERROR msg=\"panic: oh no\"\nlevel=ERROR msg=\"goroutine 1:\"\nlevel=ERROR msg=main.main()"},
		"long":            {strings.Repeat("x", maxLogLine) + "y", "level=DEBUG msg=" + strings.Repeat("x", maxLogLine) + "\nlevel=DEBUG msg=y"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			log := slog.New(slog.NewTextHandler(&got, &slog.HandlerOptions{
				Level: wire.LevelTrace,
				ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					if a.Key == slog.TimeKey {
						return slog.Attr{}
					}
					return a
				}}))
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				defer w.Close()
				_, _ = w.WriteString(c.in + "\n")
			}()
			f := newForwarder(log)
			f.run(context.Background(), r)
			if diff := cmp.Diff(c.want+"\n", got.String()); diff != "" {
				t.Error(diff)
			}
			if name == "crash" && f.lastLine() != "panic: oh no" {
				t.Errorf("last words %q, want the cause of the crash", f.lastLine())
			}
		})
	}
}
