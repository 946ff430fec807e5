package model

import (
	"crypto/rand"
	"encoding/hex"
)

// JobID names a job within its namespace. Users choose it.
type JobID string

// AllocID is the UUID of an allocation.
type AllocID string

// EvalID is the UUID of an evaluation.
type EvalID string

// DeploymentID is the UUID of a deployment.
type DeploymentID string

// NodeID is the UUID of a node, kept in the node's data directory.
type NodeID string

// JobKey identifies a job in a region.
type JobKey struct {
	Namespace string
	ID        JobID
}

// NewUUID returns a random UUID in its usual text form.
func NewUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails; crypto/rand aborts the program instead
	return FormatUUID(b)
}

// FormatUUID returns the usual text form of 16 bytes: 8-4-4-4-12 hex digits.
func FormatUUID(b [16]byte) string {
	var out [36]byte
	hex.Encode(out[0:8], b[0:4])
	out[8] = '-'
	hex.Encode(out[9:13], b[4:6])
	out[13] = '-'
	hex.Encode(out[14:18], b[6:8])
	out[18] = '-'
	hex.Encode(out[19:23], b[8:10])
	out[23] = '-'
	hex.Encode(out[24:36], b[10:16])
	return string(out[:])
}

// Short returns the first 8 characters of an ID, as people read it.
func Short[T ~string](id T) string {
	if len(id) > 8 {
		return string(id[:8])
	}
	return string(id)
}
