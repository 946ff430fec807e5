// Serai-driver-mock is the mock driver as a plugin. It is built for tests only.
package main

import (
	"github.com/seraiproject/serai/plugins/mock"
	"github.com/seraiproject/serai/pluginsdk/driver"
)

func main() { driver.Serve(mock.Info, mock.New()) }
