package engine

import (
	"time"

	"golang.org/x/sys/unix"
)

// step is how much a fixed clock advances each time it is read, so that a guest that waits for time to pass gets on.
const step = int64(time.Millisecond)

// clock is what a guest takes for time. A guest has one thread: there is no lock.
type clock struct {
	fixed   bool
	start   int64 // nanoseconds since 1970
	elapsed int64 // nanoseconds, fixed only
	began   time.Time
}

func newClock(config Clock) *clock {
	return &clock{fixed: config.Fixed, start: config.Start, began: time.Now()}
}

// tick advances a fixed clock by one step.
func (c *clock) tick() int64 {
	c.elapsed += step
	return c.elapsed
}

// walltime is the time of day in seconds and nanoseconds since 1970.
func (c *clock) walltime() (int64, int32) {
	nanos := time.Now().UnixNano()
	if c.fixed {
		nanos = c.start + c.tick()
	}
	return nanos / int64(time.Second), int32(nanos % int64(time.Second))
}

// nanotime is a monotonic time in nanoseconds.
func (c *clock) nanotime() int64 {
	if c.fixed {
		return c.tick()
	}
	return int64(time.Since(c.began))
}

// now is what the given WASI clock shows, without advancing it.
func (c *clock) now(id uint32) int64 {
	switch {
	case c.fixed && id == clockRealtime:
		return c.start + c.elapsed
	case c.fixed:
		return c.elapsed
	case id == clockRealtime:
		return time.Now().UnixNano()
	}
	return int64(time.Since(c.began))
}

// sleep lets time pass.
func (c *clock) sleep(nanos int64) {
	switch {
	case nanos <= 0:
	case c.fixed:
		c.elapsed += nanos
	default:
		time.Sleep(time.Duration(nanos))
	}
}

// poll waits until one of fds is ready or nanos have passed (negative: for ever), and returns how many are ready. With
// a fixed clock no real time passes.
func (c *clock) poll(fds []unix.PollFd, nanos int64) (int, error) {
	if c.fixed && nanos > 0 {
		n, err := unix.Poll(fds, 0)
		if n == 0 && err == nil {
			c.elapsed += nanos
		}
		return n, err
	}
	if nanos < 0 {
		return unix.Ppoll(fds, nil, nil)
	}
	timeout := unix.NsecToTimespec(nanos)
	return unix.Ppoll(fds, &timeout, nil)
}
