package httpapi

import (
	"bytes"
	"compress/gzip"
	"sync"
)

// A listCache keeps the encoded form of the last answer to each list query, so
// that a list that did not change is not encoded again. An entry is good as
// long as the index of the state it was made from is the index of the answer.
type listCache struct {
	mu      sync.Mutex
	entries map[string]cachedList
}

type cachedList struct {
	index uint64
	body  *listBody
}

// A listBody is an encoded list, compressed when somebody first wants it so.
type listBody struct {
	plain []byte
	once  sync.Once
	gz    []byte
}

func (b *listBody) compressed() ([]byte, error) {
	var err error
	b.once.Do(func() { b.gz, err = compress(b.plain) })
	return b.gz, err
}

// compress is quick rather than thorough.
func compress(b []byte) ([]byte, error) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(b); err != nil {
		return nil, err
	}
	err = z.Close()
	return out.Bytes(), err
}

// maxCachedLists bounds the cache; it is emptied when it is full.
const maxCachedLists = 64

func (c *listCache) lookup(key string, index uint64) (*listBody, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || e.index != index {
		return nil, false
	}
	return e.body, true
}

func (c *listCache) store(key string, index uint64, body *listBody) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil || len(c.entries) >= maxCachedLists {
		c.entries = map[string]cachedList{}
	}
	c.entries[key] = cachedList{index, body}
}

// list answers with a list, from the cache if it did not change.
func (r *request) list(index uint64, v any) (any, error) {
	if _, pretty := r.query["pretty"]; pretty || index == 0 {
		return v, nil
	}
	key := r.r.URL.Path + "?" + r.query.Encode()
	if body, ok := r.s.cache.lookup(key, index); ok {
		return body, nil
	}
	plain, err := encode(v, false)
	if err != nil {
		return nil, err
	}
	body := &listBody{plain: plain}
	r.s.cache.store(key, index, body)
	return body, nil
}
