package apiclient

import (
	"context"
	"errors"
	"net/url"
	"strconv"

	"github.com/seraiproject/serai/core/model"
)

// AgentSelf is what an agent says of itself.
type AgentSelf struct {
	Config map[string]any               `json:"config"`
	Member AgentMember                  `json:"member"`
	Stats  map[string]map[string]string `json:"stats"`
}

// AgentMember is one server as gossip sees it.
type AgentMember struct {
	Name        string
	Addr        string
	Port        uint16
	Tags        map[string]string
	Status      string
	ProtocolMin uint8
	ProtocolMax uint8
	ProtocolCur uint8
	DelegateMin uint8
	DelegateMax uint8
	DelegateCur uint8
}

// Members lists the servers, with the place of the answering one.
type Members struct {
	ServerName   string
	ServerRegion string
	ServerDC     string
	Members      []*AgentMember
}

// AgentSelf reads the agent's configuration and figures.
func (c *Client) AgentSelf(ctx context.Context) (*AgentSelf, error) {
	out, _, err := one[AgentSelf](ctx, c, "/v1/agent/self", nil)
	return out, err
}

// Members lists the servers of all regions.
func (c *Client) Members(ctx context.Context) (*Members, error) {
	out, _, err := one[Members](ctx, c, "/v1/agent/members", nil)
	return out, err
}

// Leader is the RPC address of a region's leader; the empty region is the
// agent's own.
func (c *Client) Leader(ctx context.Context, region string) (string, error) {
	var out string
	_, err := c.get(ctx, "/v1/status/leader", &Query{Region: region}, &out)
	return out, err
}

// Join makes the agent's server join others by their gossip addresses, and says
// how many answered.
func (c *Client) Join(ctx context.Context, addrs ...string) (int, error) {
	var out struct {
		Error  string `json:"error"`
		Joined int    `json:"num_joined"`
	}
	_, err := c.put(ctx, "/v1/agent/join", &Query{Params: url.Values{"address": addrs}}, nil, &out)
	if err == nil && out.Error != "" {
		err = errors.New(out.Error)
	}
	return out.Joined, err
}

// ForceLeave declares a server gone; prune also forgets it.
func (c *Client) ForceLeave(ctx context.Context, name string, prune bool) error {
	q := (*Query)(nil).with("node", name)
	if prune {
		q = q.with("prune", "1")
	}
	_, err := c.put(ctx, "/v1/agent/force-leave", q, nil, nil)
	return err
}

// AgentServers lists the servers a node agent knows, ip:port.
func (c *Client) AgentServers(ctx context.Context) ([]string, error) {
	out, _, err := list[string](ctx, c, "/v1/agent/servers", nil)
	return out, err
}

// SetAgentServers gives a node agent other servers.
func (c *Client) SetAgentServers(ctx context.Context, addrs ...string) error {
	_, err := c.put(ctx, "/v1/agent/servers", &Query{Params: url.Values{"address": addrs}}, nil, nil)
	return err
}

// Plugins lists the plugins of a node; the empty ID is the agent's own node.
func (c *Client) Plugins(ctx context.Context, node model.NodeID) ([]*model.PluginInfo, error) {
	q := &Query{}
	if node != "" {
		q = q.with("node_id", string(node))
	}
	out, _, err := list[*model.PluginInfo](ctx, c, "/v1/agent/plugins", q)
	return out, err
}

// Matches are the IDs a prefix search found, by context ("jobs", "allocs",
// "evals", "nodes", "deployment", "namespaces" and so on).
type Matches struct {
	Matches     map[string][]string
	Truncations map[string]bool
}

// Search looks for IDs with a prefix in one context, or in "all".
func (c *Client) Search(ctx context.Context, prefix, context string, q *Query) (*Matches, error) {
	out, _, err := write[Matches](ctx, c, "/v1/search", q, struct{ Prefix, Context string }{prefix, context})
	return out, err
}

// RaftServer is one member of the Raft group.
type RaftServer struct {
	ID           string
	Node         string
	Address      string
	Leader       bool
	Voter        bool
	RaftProtocol string
}

// RaftConfiguration lists the members of the Raft group.
func (c *Client) RaftConfiguration(ctx context.Context, q *Query) ([]*RaftServer, error) {
	out, _, err := one[struct{ Servers []*RaftServer }](ctx, c, "/v1/operator/raft/configuration", q)
	if err != nil || out == nil {
		return nil, err
	}
	return out.Servers, nil
}

// RemoveRaftPeer takes a member out of the Raft group.
func (c *Client) RemoveRaftPeer(ctx context.Context, id string) error {
	_, err := c.Do(ctx, "DELETE", "/v1/operator/raft/peer", (*Query)(nil).with("id", id), nil, nil)
	return err
}

// SchedulerConfiguration reads the operator's choices for scheduling.
func (c *Client) SchedulerConfiguration(ctx context.Context) (*model.SchedulerConfiguration, error) {
	out, _, err := one[struct{ SchedulerConfig *model.SchedulerConfiguration }](ctx, c, "/v1/operator/scheduler/configuration", nil)
	if err != nil || out == nil {
		return nil, err
	}
	return out.SchedulerConfig, nil
}

// SetSchedulerConfiguration replaces the operator's choices, provided that they
// were last changed at config.ModifyIndex; it reports whether it did.
func (c *Client) SetSchedulerConfiguration(ctx context.Context, config *model.SchedulerConfiguration) (bool, error) {
	q := (*Query)(nil).with("cas", strconv.FormatUint(config.ModifyIndex, 10))
	out, _, err := write[struct{ Updated bool }](ctx, c, "/v1/operator/scheduler/configuration", q, config)
	if err != nil {
		return false, err
	}
	return out.Updated, nil
}
