// Command serai-driver-exec is the exec task driver. A host starts it; see
// plugins/exec.
package main

import (
	"github.com/seraiproject/serai/plugins/exec"
	"github.com/seraiproject/serai/pluginsdk/driver"
)

func main() { driver.Serve(exec.Info(), exec.New()) }
