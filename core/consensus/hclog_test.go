package consensus

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
)

func TestFormattedValues(t *testing.T) {
	var out bytes.Buffer
	log := newHCLog(slog.New(slog.NewTextHandler(&out, nil)))
	log.Info("configuration", "servers", hclog.Fmt("%+v", []int{1, 2}))
	if got := out.String(); !strings.Contains(got, `servers="[1 2]"`) {
		t.Error(got)
	}
}
