package consensus

import (
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// streams is a stream layer of a server that has nobody to talk to.
type streams struct{ net.Listener }

func newStreams() (raft.StreamLayer, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	return &streams{l}, err
}

func (s *streams) Dial(a raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", string(a), timeout)
}
