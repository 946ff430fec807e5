// Command serai-driver-raw_exec is the raw_exec task driver. A host starts it;
// see plugins/rawexec.
package main

import (
	"github.com/seraiproject/serai/plugins/rawexec"
	"github.com/seraiproject/serai/pluginsdk/driver"
)

func main() { driver.Serve(rawexec.Info(), rawexec.New()) }
