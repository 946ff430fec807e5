package mock

import "time"

// Config is the plugin's configuration.
type Config struct {
	// ConfigureError makes the configuration itself fail.
	ConfigureError string `config:"configure_error"`
	// FingerprintError makes every fingerprint fail.
	FingerprintError string `config:"fingerprint_error"`
	// Health is healthy, unhealthy or undetected.
	Health string `config:"health" default:"healthy"`
	// HealthFor makes the driver unhealthy after this time; 0 is never.
	HealthFor time.Duration `config:"health_for"`
	// Attributes are added to the node, as driver.mock.<name>.
	Attributes map[string]string `config:"attributes"`
	// StartLimit fails every start beyond this many, with an error that may pass; 0 is no limit.
	StartLimit int `config:"start_limit"`
}

// TaskConfig is the script of a task.
type TaskConfig struct {
	// StartError makes the start fail, for good unless StartErrorRecoverable.
	StartError            string `config:"start_error"`
	StartErrorRecoverable bool   `config:"start_error_recoverable"`
	// StartBlockFor is how long a start takes.
	StartBlockFor time.Duration `config:"start_block_for"`
	// RecoverError makes it impossible to take the task up again.
	RecoverError string `config:"recover_error"`

	// RunFor is how long the task runs by itself; 0 is until it is stopped, unless Exit is set.
	RunFor time.Duration `config:"run_for"`
	// Exit ends the task at once, for a RunFor of 0.
	Exit       bool   `config:"exit"`
	ExitCode   int    `config:"exit_code"`
	ExitSignal int    `config:"exit_signal"`
	ExitErrMsg string `config:"exit_err_msg"`
	OOMKilled  bool   `config:"oom_killed"`

	// KillAfter is how long the task takes to obey its stop signal; beyond the kill timeout it is killed.
	KillAfter time.Duration `config:"kill_after"`
	StopError string        `config:"stop_error"`
	// SignalError makes signals fail.
	SignalError string `config:"signal_error"`

	StdoutString         string        `config:"stdout_string"`
	StdoutRepeat         int           `config:"stdout_repeat"`
	StdoutRepeatDuration time.Duration `config:"stdout_repeat_duration"`
	StderrString         string        `config:"stderr_string"`
	StderrRepeat         int           `config:"stderr_repeat"`
	StderrRepeatDuration time.Duration `config:"stderr_repeat_duration"`

	// Event is emitted once the task has started.
	Event string `config:"event"`
	// PluginExitAfter ends the whole plugin process, as a crash would.
	PluginExitAfter time.Duration `config:"plugin_exit_after"`

	// ExecExitCode is the result of every command run beside the task.
	ExecExitCode int `config:"exec_exit_code"`

	// DriverIP and DriverPorts give the task an address of its own.
	DriverIP        string         `config:"driver_ip"`
	DriverAdvertise bool           `config:"driver_advertise"`
	DriverPorts     map[string]int `config:"driver_ports"`

	// CPUPercent and MemoryMB are what the task claims to use.
	CPUPercent float64 `config:"cpu_percent" default:"1"`
	MemoryMB   uint64  `config:"memory_mb" default:"10"`
}
