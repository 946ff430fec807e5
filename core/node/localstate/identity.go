package localstate

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/seraiproject/serai/core/model"
)

// Identity is who the node is to the servers.
type Identity struct {
	ID     model.NodeID
	Secret string
}

// LoadIdentity reads the node's identity from dir, and makes one at first.
func LoadIdentity(dir string) (Identity, error) {
	id, err := loadOrCreate(filepath.Join(dir, "client-id"), model.NewUUID)
	if err != nil {
		return Identity{}, err
	}
	secret, err := loadOrCreate(filepath.Join(dir, "secret-id"), newSecret)
	if err != nil {
		return Identity{}, err
	}
	return Identity{ID: model.NodeID(id), Secret: secret}, nil
}

func newSecret() string {
	var b [16]byte
	rand.Read(b[:])
	return model.FormatUUID(b)
}

// loadOrCreate returns the content of a small file. A new file appears with
// its content or not at all.
func loadOrCreate(path string, create func() string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		if s := strings.TrimSpace(string(b)); s != "" {
			return s, nil
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read node identity: %w", err)
	}
	s := create()
	if err := replaceFile(path, []byte(s)); err != nil {
		return "", fmt.Errorf("write node identity: %w", err)
	}
	return s, nil
}

// replaceFile writes a file of mode 0600 so that after a crash either the old
// or the new content is there.
func replaceFile(path string, content []byte) error {
	var suffix [4]byte
	rand.Read(suffix[:])
	tmp := path + "." + hex.EncodeToString(suffix[:])
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
	}
	return err
}
