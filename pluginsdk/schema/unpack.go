package schema

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// maxDepth bounds the nesting of a configuration, so that hostile bytes cannot exhaust the stack.
const maxDepth = 128

var errShort = errors.New("value is cut off")

// unpack reads one MessagePack value: nil, bool, int64, uint64 (only above int64), float64, string, []any or
// map[string]any. Binary forms are read as strings.
func unpack(data []byte) (any, error) {
	r := reader{rest: data}
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	if len(r.rest) > 0 {
		return nil, fmt.Errorf("%d bytes after the value", len(r.rest))
	}
	return v, nil
}

type reader struct{ rest []byte }

func (r *reader) take(n uint64) ([]byte, error) {
	if n > uint64(len(r.rest)) {
		return nil, errShort
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b, nil
}

// uint reads a big-endian number of 1, 2, 4 or 8 bytes.
func (r *reader) uint(size uint64) (uint64, error) {
	b, err := r.take(size)
	if err != nil {
		return 0, err
	}
	var wide [8]byte
	copy(wide[8-size:], b)
	return binary.BigEndian.Uint64(wide[:]), nil
}

func (r *reader) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested deeper than %d levels", maxDepth)
	}
	head, err := r.uint(1)
	if err != nil {
		return nil, err
	}
	switch {
	case head <= 0x7f:
		return int64(head), nil
	case head >= 0xe0:
		return int64(int8(head)), nil
	case head <= 0x8f:
		return r.mapping(head&0x0f, depth)
	case head <= 0x9f:
		return r.list(head&0x0f, depth)
	case head <= 0xbf:
		return r.text(head & 0x1f)
	}
	switch head {
	case 0xc0:
		return nil, nil
	case 0xc2, 0xc3:
		return head == 0xc3, nil
	case 0xca:
		n, err := r.uint(4)
		return float64(math.Float32frombits(uint32(n))), err
	case 0xcb:
		n, err := r.uint(8)
		return math.Float64frombits(n), err
	case 0xcc, 0xcd, 0xce, 0xcf:
		n, err := r.uint(1 << (head - 0xcc))
		if n > math.MaxInt64 {
			return n, err
		}
		return int64(n), err
	case 0xd0, 0xd1, 0xd2, 0xd3:
		size := uint64(1) << (head - 0xd0)
		n, err := r.uint(size)
		shift := 64 - 8*size
		return int64(n<<shift) >> shift, err
	case 0xd9, 0xda, 0xdb:
		return r.sized(head-0xd9, r.text)
	case 0xc4, 0xc5, 0xc6:
		return r.sized(head-0xc4, r.text)
	case 0xdc, 0xdd:
		return r.sized(head-0xdc+1, func(n uint64) (any, error) { return r.list(n, depth) })
	case 0xde, 0xdf:
		return r.sized(head-0xde+1, func(n uint64) (any, error) { return r.mapping(n, depth) })
	}
	return nil, fmt.Errorf("byte 0x%02x starts no value that a configuration may hold", head)
}

// sized reads a length of 1<<width bytes, then what it counts.
func (r *reader) sized(width uint64, read func(uint64) (any, error)) (any, error) {
	n, err := r.uint(1 << width)
	if err != nil {
		return nil, err
	}
	return read(n)
}

func (r *reader) text(n uint64) (any, error) {
	b, err := r.take(n)
	if err != nil {
		return nil, err
	}
	return string(b), nil
}

func (r *reader) list(n uint64, depth int) (any, error) {
	if n > uint64(len(r.rest)) {
		return nil, errShort
	}
	out := make([]any, 0, n)
	for range n {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (r *reader) mapping(n uint64, depth int) (any, error) {
	if 2*n > uint64(len(r.rest)) {
		return nil, errShort
	}
	out := make(map[string]any, n)
	for range n {
		k, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		name, ok := k.(string)
		if !ok {
			return nil, fmt.Errorf("a name is %s, not text", describe(k))
		}
		if out[name], err = r.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return out, nil
}
