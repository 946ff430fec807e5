// Package pluginhost keeps a node's plugins running: every executable of the
// plugin directory is started, asked what it is, configured from its plugin
// block, and watched. It is the only package of the node that knows the plugin
// contract; to the rest a plugin is a taskrunner.Driver.
//
// A plugin process that dies is started again, at once the first time, and the
// tasks it had are recovered in the new process, while calls that were under
// way wait. A process that outlived the agent is taken up where it is.
package pluginhost
