package model

import "time"

// AllocFileInfo is a file in an allocation's directory.
type AllocFileInfo struct {
	Name        string
	IsDir       bool
	Size        int64 // bytes
	FileMode    string
	ModTime     time.Time
	ContentType string
}

// StreamFrame is a piece of a file or log that is being followed. A frame with
// nothing in it keeps the connection alive.
type StreamFrame struct {
	Offset    int64  `json:",omitempty" msg:",omitempty"`
	Data      []byte `json:",omitempty" msg:",omitempty"`
	File      string `json:",omitempty" msg:",omitempty"`
	FileEvent string `json:",omitempty" msg:",omitempty"`
}

// File events of a StreamFrame.
const (
	FileTruncated = "file truncated"
	FileDeleted   = "file deleted"
)
