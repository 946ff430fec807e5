package httpapi

import "sync"

// A listCache keeps the encoded form of the last answer to each list query, so
// that a list that did not change is not encoded again. An entry is good as
// long as the index of the state it was made from is the index of the answer.
type listCache struct {
	mu      sync.Mutex
	entries map[string]cachedList
}

type cachedList struct {
	index uint64
	body  []byte
}

// maxCachedLists bounds the cache; it is emptied when it is full.
const maxCachedLists = 64

func (c *listCache) lookup(key string, index uint64) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || e.index != index {
		return nil, false
	}
	return e.body, true
}

func (c *listCache) store(key string, index uint64, body []byte) {
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
		return raw(body), nil
	}
	body, err := encode(v, false)
	if err != nil {
		return nil, err
	}
	r.s.cache.store(key, index, body)
	return raw(body), nil
}
