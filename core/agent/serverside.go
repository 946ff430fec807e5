package agent

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/seraiproject/serai/core/agent/config"
	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/server"
	"github.com/seraiproject/serai/core/server/gc"
	"github.com/seraiproject/serai/core/version"
)

// Ports that addresses without one mean.
const (
	defaultRPCPort  = 4647
	defaultSerfPort = 4648
)

// withPort gives addresses that have no port the usual one.
func withPort(addrs []string, port int) []string {
	out := make([]string, 0, len(addrs))
	for _, a := range addrs {
		if _, _, err := net.SplitHostPort(a); err != nil {
			a = net.JoinHostPort(strings.Trim(a, "[]"), strconv.Itoa(port))
		}
		out = append(out, a)
	}
	return out
}

func (a *agent) startServer() (*server.Server, error) {
	c := a.cfg
	s := c.Server
	key, err := gossipKey(s.EncryptKey)
	if err != nil {
		return nil, err
	}
	gossipIP, port, err := net.SplitHostPort(c.BindSerf())
	if err != nil {
		return nil, fmt.Errorf("addresses.serf: %w", err)
	}
	gossipPort, err := strconv.Atoi(port)
	if err != nil {
		return nil, fmt.Errorf("ports.serf: %w", err)
	}
	return server.New(server.Config{
		Name: c.NodeName, Region: c.Region, Datacenter: c.Datacenter, Version: version.Version,
		Dev: c.DevMode, DataDir: s.DataDir,
		RPCAddr: c.BindRPC(), AdvertiseRPC: c.AdvertiseAddrs.RPC,
		GossipAddr: gossipIP, GossipPort: gossipPort, AdvertiseGossip: c.AdvertiseAddrs.Serf, GossipKey: key,
		BootstrapExpect: s.BootstrapExpect,
		Join:            withPort(append(append([]string(nil), s.Join.StartJoin...), s.Join.RetryJoin...), defaultSerfPort),
		RetryInterval:   s.Join.RetryInterval, RetryMax: s.Join.RetryMax,
		RaftMultiplier: s.RaftMultiplier,
		Schedulers:     s.NumSchedulers, EnabledSchedulers: s.EnabledSchedulers,
		MinHeartbeatTTL: s.MinHeartbeatTTL, MaxHeartbeatsPerSecond: s.MaxHeartbeatsPerSecond,
		HeartbeatGrace: s.HeartbeatGrace, FailoverHeartbeatTTL: s.FailoverHeartbeatTTL,
		GC: gc.Thresholds{
			Interval: s.JobGCInterval, Job: s.JobGCThreshold, Eval: s.EvalGCThreshold, BatchEval: s.BatchEvalGCThreshold,
			Deployment: s.DeploymentGCThreshold, Node: s.NodeGCThreshold,
		},
		MaxJobPriority:  s.JobMaxPriority,
		SchedulerConfig: schedulerConfig(s.DefaultSchedulerConfig),
		Log:             a.log.With(subsystem, "server"),
	})
}

func gossipKey(text string) ([]byte, error) {
	if text == "" {
		return nil, nil
	}
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		key, err = base64.URLEncoding.DecodeString(text)
	}
	if err != nil {
		return nil, errors.New("server.encrypt is not base64")
	}
	return key, nil
}

func schedulerConfig(c *config.SchedulerConfig) *model.SchedulerConfiguration {
	if c == nil {
		return nil
	}
	return &model.SchedulerConfiguration{
		SchedulerAlgorithm:            c.SchedulerAlgorithm,
		MemoryOversubscriptionEnabled: c.MemoryOversubscriptionEnabled,
		RejectJobRegistration:         c.RejectJobRegistration,
		PauseEvalBroker:               c.PauseEvalBroker,
		PreemptionConfig:              model.PreemptionConfig(c.PreemptionConfig),
	}
}

// serverAddrs lists the servers that a node-only agent starts with.
func (a *agent) serverAddrs() []string {
	addrs := append([]string(nil), a.cfg.Client.Servers...)
	addrs = append(addrs, a.cfg.Client.Join.StartJoin...)
	addrs = append(addrs, a.cfg.Client.Join.RetryJoin...)
	return withPort(addrs, defaultRPCPort)
}
