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
	Tags              []string
	CanaryTags        []string
	Meta              map[string]string
	CanaryMeta        map[string]string
	TaggedAddresses   map[string]string
	EnableTagOverride bool
	OnUpdate          string
	TaskName          string
	Cluster           string
	Kind              string
	Namespace         string
	Identity          *WorkloadIdentity
	Weights           *ServiceWeights
	Connect           *ConsulConnect
	Checks            []*ServiceCheck
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
	Args                   []string
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
	Header                 map[string][]string
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
	Tags        []string
	Address     string
	Port        int
	CreateIndex uint64
	ModifyIndex uint64
}
