package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/seraiproject/serai/core/agent/config"
	"github.com/seraiproject/serai/core/httpapi"
	"github.com/seraiproject/serai/core/jobspec"
	"github.com/seraiproject/serai/core/node"
	"github.com/seraiproject/serai/core/rpc"
	"github.com/seraiproject/serai/core/server"
	"github.com/seraiproject/serai/core/transport"
)

// stopTimeout bounds how long the parts of an agent may take to end.
const stopTimeout = 30 * time.Second

// Run runs an agent until ctx ends or it was told to leave and has left. All
// that it started has ended when it returns; the tasks of a node only in
// development mode.
func Run(ctx context.Context, cfg *config.Config, host config.Host) error {
	a := &agent{cfg: cfg, host: host, least: &slog.LevelVar{}}
	l, err := level(cfg.LogLevel)
	if err != nil {
		return err
	}
	a.least.Set(l)
	a.log = newLogger(host.Log, a.least, cfg.LogJSON, cfg.LogIncludeLocation)
	err = a.start(ctx)
	if err == nil {
		host.Ready(a.info())
		err = a.serve(ctx)
	}
	return errors.Join(err, a.stop())
}

// agent is a running agent. Its parts are set by start, in this order, and
// ended by stop in reverse.
type agent struct {
	cfg   *config.Config
	host  config.Host
	log   *slog.Logger
	least *slog.LevelVar

	tempDir  string // of a development agent
	server   *server.Server
	client   *transport.Client // to servers, when the agent is none
	pool     *transport.Pool
	node     *node.Node
	stopNode func() // ends node.Run and waits for it
	api      *httpapi.Server
	failed   chan error // of a part, while the agent runs
	wg       sync.WaitGroup
	http     []net.Listener

	reloadMu sync.Mutex
}

func (a *agent) start(ctx context.Context) error {
	a.failed = make(chan error, 4)
	if err := a.dirs(); err != nil {
		return err
	}
	if err := a.listen(); err != nil {
		return err
	}
	var caller rpc.Caller
	if a.cfg.Server.Enabled {
		s, err := a.startServer()
		if err != nil {
			return fmt.Errorf("start server: %w", err)
		}
		a.server, caller = s, s.Caller()
	} else {
		a.pool = transport.NewPool()
		a.client = transport.NewClient(a.pool, a.serverAddrs())
		caller = a.client
	}
	apiConfig := httpapi.Config{
		Caller: caller, Agent: (*facts)(a), Parse: parseJob,
		Headers: a.cfg.HTTPAPIResponseHeaders, Log: a.log.With(subsystem, "http"),
	}
	if a.cfg.Client.Enabled {
		n, err := a.startNode(ctx, caller)
		if err != nil {
			return fmt.Errorf("start node: %w", err)
		}
		a.node = n
		apiConfig.Node = n
	}
	a.api = httpapi.New(apiConfig)
	for _, l := range a.http {
		a.wg.Go(func() {
			if err := a.api.Serve(l); err != nil {
				a.failed <- fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
			}
		})
	}
	return nil
}

// dirs gives a development agent a folder of its own.
func (a *agent) dirs() error {
	if a.cfg.DataDir == "" {
		dir, err := os.MkdirTemp("", "serai-dev-")
		if err != nil {
			return err
		}
		a.tempDir, a.cfg.DataDir = dir, dir
		a.cfg.ResolveDirs()
	}
	if err := os.MkdirAll(a.cfg.DataDir, 0o700); err != nil {
		return fmt.Errorf("make data_dir: %w", err)
	}
	return nil
}

// listen opens the HTTP addresses before anything else, so that a second agent
// on the same ports ends before it touches a thing.
func (a *agent) listen() error {
	for _, addr := range a.cfg.BindHTTP() {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("listen for HTTP: %w; is another agent running? ports { http = ... } chooses another port", err)
		}
		a.http = append(a.http, limitPerIP(l, a.cfg.Limits.HTTPMaxConnsPerClient))
	}
	return nil
}

// info is what the start-up banner shows.
func (a *agent) info() config.Info {
	info := config.Info{}
	for _, l := range a.http {
		info.HTTP = append(info.HTTP, l.Addr().String())
	}
	if a.server != nil {
		info.RPC = a.server.Addr()
		info.ServerID = a.server.ID()
	}
	return info
}

// serve waits for the end, and takes new configurations.
func (a *agent) serve(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-a.host.Leave:
			return a.leave()
		case err := <-a.failed:
			return err
		case cfg := <-a.host.Reload:
			a.reload(cfg)
		}
	}
}

// leave tells the cluster that the agent goes.
func (a *agent) leave() error {
	if a.server == nil {
		return nil
	}
	if err := a.server.Leave(); err != nil {
		return fmt.Errorf("leave the cluster: %w", err)
	}
	return nil
}

// reload takes over what can change while the agent runs.
func (a *agent) reload(cfg *config.Config) {
	a.reloadMu.Lock()
	defer a.reloadMu.Unlock()
	if l, err := level(cfg.LogLevel); err == nil {
		a.least.Set(l)
	}
	if a.client != nil && len(cfg.Client.Servers) > 0 {
		a.client.SetServers(withPort(cfg.Client.Servers, defaultRPCPort))
	}
	a.log.Info("configuration reloaded", "log_level", strings.ToUpper(cfg.LogLevel))
}

// stop ends the parts in reverse order. It may be called in any state.
func (a *agent) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	var errs []error
	// The API goes first, so that nobody is told of a half that has ended;
	// open streams and blocking queries are cut.
	if a.api != nil {
		quick, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		errs = append(errs, a.api.Shutdown(quick))
		cancel()
	} else {
		for _, l := range a.http {
			errs = append(errs, l.Close())
		}
	}
	if a.node != nil {
		a.stopNode()
		errs = append(errs, a.node.Shutdown(ctx))
	}
	if a.server != nil {
		errs = append(errs, a.server.Shutdown(ctx))
	}
	if a.pool != nil {
		errs = append(errs, a.pool.Close())
	}
	a.wg.Wait()
	if a.tempDir != "" {
		errs = append(errs, os.RemoveAll(a.tempDir))
	}
	return errors.Join(errs...)
}

// parseJob turns job file text into the API's document.
func parseJob(text, variables string) ([]byte, error) {
	opts := jobspec.Options{}
	if variables != "" {
		opts.VarFiles = []jobspec.VarFile{{Name: "variables.hcl", Source: []byte(variables)}}
	}
	doc, err := jobspec.Parse("input.hcl", []byte(text), opts)
	if err != nil {
		return nil, err
	}
	return doc.JSON(), nil
}
