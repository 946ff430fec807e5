// Package fingerprint finds out what a machine is and has: processors, memory,
// disk, addresses, kernel. It reads files of /proc and /sys and starts no
// process, so that a node can be ready within milliseconds.
//
// Names of attributes are those that constraints in job files use.
package fingerprint
