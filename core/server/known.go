package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/seraiproject/serai/core/membership"
)

// knownFile keeps the gossip addresses of the other servers, so that a server
// that starts again finds them whatever its configuration says: the address it
// once joined by may be its own, or of a server that is gone.
const knownFile = "gossip.json"

func (s *Server) knownPath() string { return filepath.Join(s.cfg.DataDir, knownFile) }

// saveKnown writes the addresses of the other servers if they changed. A list
// that became empty is not written: it is the old one that helps then.
func (s *Server) saveKnown() {
	var addrs []string
	for _, m := range s.memberList() {
		addr := fmt.Sprintf("%s:%d", m.Addr, m.Port)
		if m.Status != membership.Left && addr != s.members.Addr() {
			addrs = append(addrs, addr)
		}
	}
	slices.Sort(addrs)
	if len(addrs) == 0 || slices.Equal(addrs, s.known) {
		return
	}
	if err := writeKnown(s.knownPath(), addrs); err != nil {
		s.log.Warn("addresses of other servers were not kept", "error", err)
		return
	}
	s.known = addrs
}

func writeKnown(path string, addrs []string) error {
	b, err := json.Marshal(addrs)
	if err != nil {
		return err
	}
	tmp := path + ".new"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// loadKnown reads what saveKnown wrote; nil when there is nothing.
func loadKnown(path string) ([]string, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var addrs []string
	if err := json.Unmarshal(b, &addrs); err != nil {
		return nil, fmt.Errorf("%s: %w; remove it to start without", path, err)
	}
	return addrs, nil
}

// others lists whom to make contact with at the start: configured and known
// servers, without this one.
func (s *Server) others() []string {
	var out []string
	for _, addr := range append(slices.Clone(s.cfg.Join), s.known...) {
		if addr != s.members.Addr() && !slices.Contains(out, addr) {
			out = append(out, addr)
		}
	}
	return out
}
