package wire

import "sync"

// Pulse wakes everyone who waits. The zero value is ready.
type Pulse struct {
	mu sync.Mutex
	ch chan struct{}
}

// Wait gives the channel that the next Send closes.
func (p *Pulse) Wait() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ch == nil {
		p.ch = make(chan struct{})
	}
	return p.ch
}

// Send wakes those who wait now.
func (p *Pulse) Send() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ch != nil {
		close(p.ch)
		p.ch = nil
	}
}
