// Package localstate is what a node remembers across restarts of its agent:
// its allocations with their jobs, how far each task came, handles of tasks
// and of plugins.
//
// Everything is in one bbolt file. A write is in the kernel's hands when the
// call returns, so it survives kill -9 of the agent at any line; it is not
// forced to the disk, for after a crash of the machine no task of it runs any
// more and the servers know the rest. A file that such a crash damaged is set
// aside and a new one begun.
package localstate
