// Serai-driver-wasm is the plugin binary of the wasm task driver. Started again by itself under another name, it is the
// process of one task.
package main

import (
	"github.com/seraiproject/serai/plugins/wasm"
	"github.com/seraiproject/serai/plugins/wasm/runner"
	"github.com/seraiproject/serai/pluginsdk/driver"
)

func main() {
	runner.Main()
	driver.Serve(wasm.Info(), &wasm.Driver{})
}
