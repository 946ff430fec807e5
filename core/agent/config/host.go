package config

import "io"

// Host is how a running agent talks to whoever started it.
type Host struct {
	// Log takes log lines, each ending in a newline. Whoever started the agent
	// may hold them back until Ready is called.
	Log io.Writer
	// Ready is to be called once, when the agent serves.
	Ready func(Info)
	// Reload delivers a newly read configuration when the operator asks for it.
	// The agent applies what can be changed while it runs.
	Reload <-chan *Config
	// Leave is closed when the agent is asked to leave the cluster: servers leave
	// gossip and Raft, nodes drain if they were told to. The agent returns when
	// that is done. Merely ending the agent's context stops it as it is.
	Leave <-chan struct{}
}

// Info is what a running agent knows beyond its configuration. What is empty is
// taken from the configuration.
type Info struct {
	// ServerID is the server's Raft ID; empty on node-only agents.
	ServerID string
	// HTTP, RPC and Serf are the addresses bound, ip:port.
	HTTP []string
	RPC  string
	Serf string
	// AdvertiseHTTP, AdvertiseRPC and AdvertiseSerf are the ones told to others.
	AdvertiseHTTP string
	AdvertiseRPC  string
	AdvertiseSerf string
}
