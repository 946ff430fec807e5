package model

import "time"

// Service providers.
const (
	ProviderConsul = "consul"
	ProviderNomad  = "nomad"
)

// Service registers a port of a task or group in a catalogue.
type Service struct {
	Name              string
	Provider          string
	PortLabel         string
	AddressMode       string
	Address           string
	Tags              []string          `msg:",allownil"`
	CanaryTags        []string          `msg:",allownil"`
	Meta              map[string]string `msg:",allownil"`
	CanaryMeta        map[string]string `msg:",allownil"`
	TaggedAddresses   map[string]string `msg:",allownil"`
	EnableTagOverride bool
	OnUpdate          string
	TaskName          string
	Cluster           string
	Kind              string
	Namespace         string
	Identity          *WorkloadIdentity
	Weights           *ServiceWeights
	Connect           *ConsulConnect
	Checks            []*ServiceCheck `msg:",allownil"`
}

// ServiceWeights are DNS weights in Consul.
type ServiceWeights struct {
	Passing int
	Warning int
}

// ServiceCheck is a health check of a service.
type ServiceCheck struct {
	Name                   string
	Type                   string
	Command                string
	Args                   []string `msg:",allownil"`
	Path                   string
	Protocol               string
	PortLabel              string
	AddressMode            string
	Advertise              string
	Expose                 bool
	Interval               time.Duration
	Timeout                time.Duration
	InitialStatus          string
	Notes                  string
	TLSServerName          string
	TLSSkipVerify          bool
	Header                 map[string][]string `msg:",allownil"`
	Method                 string
	Body                   string
	GRPCService            string
	GRPCUseTLS             bool
	TaskName               string
	SuccessBeforePassing   int
	FailuresBeforeCritical int
	FailuresBeforeWarning  int
	OnUpdate               string
	CheckRestart           *CheckRestart
}

// CheckRestart restarts a task whose check keeps failing.
type CheckRestart struct {
	Limit          int
	Grace          time.Duration
	IgnoreWarnings bool
}

// ServiceRegistration is one instance of a service in the built-in catalogue.
type ServiceRegistration struct {
	ID          string
	ServiceName string
	Namespace   string
	NodeID      NodeID
	Datacenter  string
	JobID       JobID
	AllocID     AllocID
	Tags        []string `msg:",allownil"`
	Address     string
	Port        int
	CreateIndex uint64
	ModifyIndex uint64
}
