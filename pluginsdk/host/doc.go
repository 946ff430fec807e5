// Package host is the other end of a plugin: it starts plugin binaries, agrees on versions, configures them,
// speaks to them with Go types, and finds them again after its own process was restarted.
//
// A driver's life, in short:
//
//	p, err := host.Launch(ctx, host.Options{Path: path, Log: log})
//	spec, err := p.ConfigSchema(ctx)
//	data, err := hclvalue.Encode(spec, config, nil)
//	err = p.Configure(ctx, data, nil)            // only checks
//	err = p.Configure(ctx, data, &driver.Node{}) // counts
//	d, err := p.Driver()
//	err = d.Init(ctx)
//	for f, err := range d.Fingerprint(ctx) { ... }
//	save(p.Record())
//	<-p.Exited()
//
// and, in the next process, host.Reattach(ctx, record, options) in place of Launch and Configure.
//
// The wire is that of hashicorp/go-plugin. Its client is not used: plugins get a session of their own, so that
// signals to the host's terminal do not reach them, their end is seen even while a child of theirs holds their
// pipes, logs go to slog, and a process is never confused with a later one of the same pid.
package host
