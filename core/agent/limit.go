package agent

import (
	"net"
	"sync"
)

// tooMany is the answer to a connection over the limit, before any request is
// read.
const tooMany = "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
	"Your IP is issuing too many concurrent connections, please rate limit your calls\n"

// limitPerIP bounds how many connections of one address may be open; 0 means
// no limit.
func limitPerIP(l net.Listener, most int) net.Listener {
	if most <= 0 {
		return l
	}
	return &limitListener{Listener: l, most: most, open: map[string]int{}}
}

type limitListener struct {
	net.Listener
	most int

	mu   sync.Mutex
	open map[string]int
}

func (l *limitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		ip, _, err := net.SplitHostPort(c.RemoteAddr().String())
		if err != nil {
			return c, nil // not an IP connection
		}
		if l.take(ip) {
			return &limitedConn{Conn: c, release: sync.OnceFunc(func() { l.give(ip) })}, nil
		}
		c.Write([]byte(tooMany)) // the connection ends either way
		c.Close()
	}
}

func (l *limitListener) take(ip string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[ip] >= l.most {
		return false
	}
	l.open[ip]++
	return true
}

func (l *limitListener) give(ip string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[ip]--; l.open[ip] <= 0 {
		delete(l.open, ip)
	}
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	c.release()
	return c.Conn.Close()
}
