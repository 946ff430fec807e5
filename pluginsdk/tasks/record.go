package tasks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

// HandleVersion is the version of the handles made here. Hosts only store it.
const HandleVersion = 1

// recordMagic opens every record, so that states of other drivers' handles are told apart.
const recordMagic = "serai-task/1\n"

// Record is all that is needed to take a task up again. A host that was restarted no longer has the task's
// config block, so the record carries it.
type Record struct {
	StartedAt time.Time
	// Config is the MessagePack of the task's config block.
	Config []byte
	// Network is the task's own address, if it has one.
	Network *driverpb.NetworkOverride
	// State is the driver's.
	State json.RawMessage
}

// recordFile is the JSON form, behind the magic.
type recordFile struct {
	StartedAt time.Time       `json:"started_at"`
	Config    []byte          `json:"config,omitempty"`
	Network   []byte          `json:"network,omitempty"`
	State     json.RawMessage `json:"state"`
}

// Encode turns a record into the opaque bytes of a handle.
func (r Record) Encode() ([]byte, error) {
	f := recordFile{StartedAt: r.StartedAt, Config: r.Config, State: r.State}
	if r.Network != nil {
		b, err := proto.Marshal(r.Network)
		if err != nil {
			return nil, fmt.Errorf("encode task record: %w", err)
		}
		f.Network = b
	}
	b, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode task record: %w", err)
	}
	return append([]byte(recordMagic), b...), nil
}

// DecodeRecord reads the bytes of a handle. Ours is false, and the bytes are the state, if they were not made
// by Encode.
func DecodeRecord(data []byte) (r Record, ours bool, err error) {
	body, ok := bytes.CutPrefix(data, []byte(recordMagic))
	if !ok {
		return Record{State: data}, false, nil
	}
	var f recordFile
	if err := json.Unmarshal(body, &f); err != nil {
		return Record{}, true, fmt.Errorf("decode task record: %w", err)
	}
	r = Record{StartedAt: f.StartedAt, Config: f.Config, State: f.State}
	if f.Network != nil {
		r.Network = &driverpb.NetworkOverride{}
		if err := proto.Unmarshal(f.Network, r.Network); err != nil {
			return Record{}, true, fmt.Errorf("decode task record: %w", err)
		}
	}
	return r, true, nil
}
