package engine

import "crypto/rand"

// systemRandom reads from the operating system's source, which never fails.
type systemRandom struct{}

func (systemRandom) Read(buf []byte) (int, error) { return rand.Read(buf) }
