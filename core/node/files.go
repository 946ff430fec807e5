package node

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/seraiproject/serai/core/httpapi"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/node/allocdir"
)

// files opens the directory of an allocation.
func (n *Node) files(id model.AllocID) (*allocdir.Files, error) {
	r, err := n.find(id)
	if err != nil {
		return nil, err
	}
	return r.Dir().Files()
}

// ListDir implements httpapi.NodeBackend.
func (n *Node) ListDir(_ context.Context, id model.AllocID, path string) ([]*model.AllocFileInfo, error) {
	f, err := n.files(id)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.List(path)
}

// StatFile implements httpapi.NodeBackend.
func (n *Node) StatFile(_ context.Context, id model.AllocID, path string) (*model.AllocFileInfo, error) {
	f, err := n.files(id)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return f.Stat(path)
}

// OpenFile implements httpapi.NodeBackend.
func (n *Node) OpenFile(_ context.Context, id model.AllocID, path string, offset, limit int64) (io.ReadCloser, error) {
	f, err := n.files(id)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	file, err := f.Open(path)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(max(offset, 0), io.SeekStart); err != nil {
		file.Close()
		return nil, err
	}
	if limit < 0 {
		return file, nil
	}
	return &limited{io.LimitReader(file, limit), file}, nil
}

type limited struct {
	io.Reader
	file *os.File
}

func (l *limited) Close() error { return l.file.Close() }

// StreamFile implements httpapi.NodeBackend.
func (n *Node) StreamFile(ctx context.Context, id model.AllocID, path string, from httpapi.Position, send func(*model.StreamFrame) error) error {
	f, err := n.files(id)
	if err != nil {
		return err
	}
	defer f.Close()
	file, err := f.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	s := &stream{file: file, name: path, send: send}
	if err := s.seek(from); err != nil {
		return err
	}
	tail := newTail()
	for {
		if err := s.drain(ctx); err != nil {
			return ignoreDone(ctx, err)
		}
		if !from.Follow {
			return nil
		}
		if deleted(file) {
			return send(&model.StreamFrame{File: path, FileEvent: model.FileDeleted, Offset: s.offset})
		}
		if err := tail.wait(ctx, s.got, send); err != nil {
			return ignoreDone(ctx, err)
		}
	}
}

// deleted reports whether the file has no name any more.
func deleted(f *os.File) bool {
	info, err := f.Stat()
	return err != nil || links(info) == 0
}

// frameSize is the most data of one frame.
const frameSize = 64 << 10

// stream sends the content of one file.
type stream struct {
	file   *os.File
	name   string
	offset int64
	got    bool // data came with the last drain
	send   func(*model.StreamFrame) error
	buf    []byte
}

func (s *stream) seek(from httpapi.Position) error {
	s.offset = max(from.Offset, 0)
	if from.Origin == "end" {
		info, err := s.file.Stat()
		if err != nil {
			return err
		}
		s.offset = max(info.Size()-s.offset, 0)
	}
	return nil
}

// drain sends all that is there now.
func (s *stream) drain(ctx context.Context) error {
	s.got = false
	if s.buf == nil {
		s.buf = make([]byte, frameSize)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := s.file.ReadAt(s.buf, s.offset)
		if n > 0 {
			s.offset += int64(n)
			s.got = true
			frame := &model.StreamFrame{File: s.name, Offset: s.offset, Data: append([]byte(nil), s.buf[:n]...)}
			if err := s.send(frame); err != nil {
				return err
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return s.truncated()
		}
	}
}

// truncated begins anew with a file that was cut.
func (s *stream) truncated() error {
	info, err := s.file.Stat()
	if err != nil || info.Size() >= s.offset {
		return err
	}
	s.offset = 0
	return s.send(&model.StreamFrame{File: s.name, FileEvent: model.FileTruncated})
}
