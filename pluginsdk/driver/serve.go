package driver

import (
	"context"

	"google.golang.org/grpc"

	"github.com/seraiproject/serai/pluginsdk/internal/wire"
	"github.com/seraiproject/serai/pluginsdk/proto/driverpb"
)

// Serve makes the process a plugin that serves d, and returns when the host asks it to end; main should then
// return too. C, T and H follow from d's methods, so a call reads driver.Serve(info, &myDriver{}). Nothing may
// be written to stdout before.
//
// A process that was not started by a host prints a line to stderr and exits with status 1, and so does one
// whose structs cannot be turned into schemas.
func Serve[C, T any, H Task](info Info, d Driver[C, T, H]) {
	ctx, cancel := context.WithCancel(context.Background())
	s, err := newServer(ctx, info, d)
	if err != nil {
		cancel()
		wire.Fail(info.Name, err)
	}
	register := func(g grpc.ServiceRegistrar) { driverpb.RegisterDriverServer(g, s) }
	wire.Serve(s.base(), register, func() {
		cancel()
		s.table.Close()
	})
}
