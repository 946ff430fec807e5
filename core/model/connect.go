package model

import "time"

// ConsulConnect puts a service into a Consul service mesh.
type ConsulConnect struct {
	Native         bool
	SidecarService *ConsulSidecarService
	SidecarTask    *SidecarTask
	Gateway        *ConsulGateway
}

// ConsulSidecarService is the mesh proxy's own service.
type ConsulSidecarService struct {
	Tags                   []string `msg:",allownil"`
	Port                   string
	Meta                   map[string]string `msg:",allownil"`
	DisableDefaultTCPCheck bool
	Proxy                  *ConsulProxy
}

// ConsulProxy configures the sidecar proxy.
type ConsulProxy struct {
	LocalServiceAddress string
	LocalServicePort    int
	Upstreams           []*ConsulUpstream `msg:",allownil"`
	Expose              *ConsulExpose
	TransparentProxy    *ConsulTransparentProxy
	Config              map[string]any `msg:",allownil"`
}

// ConsulUpstream is a service reached through the sidecar.
type ConsulUpstream struct {
	DestinationName      string
	DestinationNamespace string
	DestinationPeer      string
	DestinationPartition string
	DestinationType      string
	LocalBindPort        int
	LocalBindAddress     string
	LocalBindSocketPath  string
	LocalBindSocketMode  string
	Datacenter           string
	MeshGateway          *ConsulMeshGateway
	Config               map[string]any `msg:",allownil"`
}

// ConsulMeshGateway selects how traffic leaves a datacenter.
type ConsulMeshGateway struct {
	Mode string
}

// ConsulExpose lets HTTP paths past the proxy.
type ConsulExpose struct {
	Paths []*ConsulExposePath `msg:",allownil"`
}

// ConsulExposePath is one path of a ConsulExpose.
type ConsulExposePath struct {
	Path          string
	Protocol      string
	LocalPathPort int
	ListenerPort  string
}

// ConsulTransparentProxy redirects a namespace's traffic through the proxy.
type ConsulTransparentProxy struct {
	UID                  string
	OutboundPort         uint16
	ExcludeInboundPorts  []string `msg:",allownil"`
	ExcludeOutboundPorts []uint16 `msg:",allownil"`
	ExcludeOutboundCIDRs []string `msg:",allownil"`
	ExcludeUIDs          []string `msg:",allownil"`
	NoDNS                bool
}

// SidecarTask overrides the injected proxy task.
type SidecarTask struct {
	Name          string
	Driver        string
	User          string
	Config        map[string]any    `msg:",allownil"`
	Env           map[string]string `msg:",allownil"`
	Resources     *Resources
	Meta          map[string]string `msg:",allownil"`
	KillTimeout   *time.Duration
	LogConfig     *LogConfig
	ShutdownDelay *time.Duration
	KillSignal    string
	VolumeMounts  []*VolumeMount      `msg:",allownil"`
	Identities    []*WorkloadIdentity `msg:",allownil"`
}

// ConsulGateway is a mesh gateway run as a task.
type ConsulGateway struct {
	Proxy       *ConsulGatewayProxy
	Ingress     *ConsulIngress
	Terminating *ConsulTerminating
	Mesh        *ConsulMesh
}

// ConsulGatewayProxy configures a gateway's Envoy.
type ConsulGatewayProxy struct {
	ConnectTimeout                  *time.Duration
	EnvoyGatewayBindTaggedAddresses bool
	EnvoyGatewayBindAddresses       map[string]*ConsulGatewayBindAddress `msg:",allownil"`
	EnvoyGatewayNoDefaultBind       bool
	EnvoyDNSDiscoveryType           string
	Config                          map[string]any `msg:",allownil"`
}

// ConsulGatewayBindAddress is where a gateway listens.
type ConsulGatewayBindAddress struct {
	Name    string
	Address string
	Port    int
}

// ConsulIngress lets traffic into the mesh.
type ConsulIngress struct {
	TLS       *ConsulGatewayTLS
	Listeners []*ConsulIngressListener `msg:",allownil"`
}

// ConsulGatewayTLS is a gateway's TLS configuration.
type ConsulGatewayTLS struct {
	Enabled       bool
	TLSMinVersion string
	TLSMaxVersion string
	CipherSuites  []string `msg:",allownil"`
	SDS           *ConsulGatewaySDS
}

// ConsulGatewaySDS names a secret discovery service.
type ConsulGatewaySDS struct {
	ClusterName  string
	CertResource string
}

// ConsulIngressListener is one port of an ingress gateway.
type ConsulIngressListener struct {
	Port     int
	Protocol string
	Services []*ConsulIngressService `msg:",allownil"`
}

// ConsulIngressService is a service behind a listener.
type ConsulIngressService struct {
	Name                  string
	Hosts                 []string `msg:",allownil"`
	TLS                   *ConsulGatewayTLS
	RequestHeaders        *ConsulHeaderModifiers
	ResponseHeaders       *ConsulHeaderModifiers
	MaxConnections        *uint32
	MaxPendingRequests    *uint32
	MaxConcurrentRequests *uint32
}

// ConsulHeaderModifiers change HTTP headers on their way.
type ConsulHeaderModifiers struct {
	Add    map[string]string `msg:",allownil"`
	Set    map[string]string `msg:",allownil"`
	Remove []string          `msg:",allownil"`
}

// ConsulTerminating lets traffic out of the mesh.
type ConsulTerminating struct {
	Services []*ConsulLinkedService `msg:",allownil"`
}

// ConsulLinkedService is a service outside the mesh.
type ConsulLinkedService struct {
	Name     string
	CAFile   string
	CertFile string
	KeyFile  string
	SNI      string
}

// ConsulMesh makes the gateway one between datacenters.
type ConsulMesh struct{}
