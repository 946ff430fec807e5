// Package driver is what an author of a task driver writes against.
//
// A driver is a type with four methods (Configure, Fingerprint, Start, Recover) over three types of its own:
// the struct of its plugin configuration, the struct of a task's config block, and a live task. Serve derives
// the configuration schemas from the structs' tags, decodes into them, and speaks the plugin protocol:
//
//	type Config struct {
//		Shell string `config:"shell" default:"/bin/sh"`
//	}
//
//	type TaskConfig struct {
//		Script string `config:"script,required"`
//	}
//
//	func main() {
//		driver.Serve(driver.Info{Name: "shell", Version: "0.1.0"}, &shell{})
//	}
//
// What a driver can do beyond the four methods is told by the interfaces that it and its tasks implement:
// Signaler, Execer, StatsReporter, Inspector and Addresser on the task, Networker, Shutdowner and Capable on
// the driver. The capabilities sent to the host follow from them and so cannot disagree with the code.
//
// The SDK keeps the table of live tasks, waits for each of them, answers any number of callers, repeats the
// fingerprint, polls figures, fans events out, and turns handles into bytes and back. A plugin process may be
// killed at any moment; Recover is then called in its successor with what Task.State gave before.
package driver
