package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// now is the time of every golden run.
var now = time.Date(2026, 11, 22, 7, 30, 0, 0, time.UTC)

// fakeAgent answers API calls from canned replies and remembers the writes.
type fakeAgent struct {
	*httptest.Server
	mu      sync.Mutex
	replies map[string][]string // "GET /v1/jobs" or with "?prefix=we"; the last of several repeats
	writes  []string
}

func newFakeAgent(t *testing.T, replies map[string][]string) *fakeAgent {
	f := &fakeAgent{replies: replies}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeAgent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	key := r.Method + " " + r.URL.Path
	if r.Method != http.MethodGet {
		q := r.URL.Query()
		f.writes = append(f.writes, strings.TrimSpace(fmt.Sprintf("%s?%s %s", key, q.Encode(), body)))
	}
	if p := r.URL.Query().Get("prefix"); p != "" {
		key += "?prefix=" + p
	}
	all, ok := f.replies[key]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, "no reply to %s", key)
		return
	}
	reply := all[0]
	if len(all) > 1 {
		f.replies[key] = all[1:]
	}
	w.Header().Set("X-Nomad-Index", "7")
	w.Header().Set("X-Nomad-LastContact", "0")
	w.Header().Set("X-Nomad-KnownLeader", "true")
	if code, text, ok := strings.Cut(reply, "!"); ok && len(code) == 3 {
		status := 500
		_, _ = fmt.Sscan(code, &status)
		w.WriteHeader(status)
		reply = text
	}
	_, _ = io.WriteString(w, reply)
}

// invoke runs one command line against the agent at addr.
func invoke(t *testing.T, addr, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(args, Deps{
		Version: "1.2.3", Stdin: strings.NewReader(stdin), Stdout: &out, Stderr: &errs, Location: time.UTC,
		Now: func() time.Time { return now }, Signals: make(chan os.Signal),
		Getenv: func(name string) string {
			if name == "NOMAD_ADDR" {
				return addr
			}
			return ""
		},
	})
	return code, out.String(), errs.String()
}

// golden compares with a file of testdata, or rewrites it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", path, diff)
	}
}

// list renders JSON values as a JSON list.
func list(values ...string) string { return "[" + strings.Join(values, ",") + "]" }

const (
	jobWeb = `{"ID":"web","Name":"web","Namespace":"default","Region":"global","Type":"service","Priority":50,"Datacenters":["dc1","dc2"],"NodePool":"default","Status":"running","Version":2,"SubmitTime":1795332211000000000,"JobModifyIndex":32,"ModifyIndex":40,
"TaskGroups":[{"Name":"front","Count":2,"ReschedulePolicy":{"Attempts":3,"Interval":86400000000000,"Delay":30000000000},"Tasks":[{"Name":"srv","Driver":"exec","Actions":[{"Name":"reload","Command":"/bin/true"}]},{"Name":"side","Driver":"exec","Lifecycle":{"Hook":"prestart","Sidecar":true}}]}]}`
	stubWeb    = `{"ID":"web","Name":"web","Namespace":"default","Type":"service","Priority":50,"Status":"running","SubmitTime":1795332211000000000}`
	stubWebTwo = `{"ID":"web-two","Name":"web-two","Namespace":"default","Type":"batch","Periodic":true,"Priority":70,"Status":"dead","Stop":true,"SubmitTime":1795332200000000000}`
	events     = `[{"Type":"Received","Time":1795332211000000000,"DisplayMessage":"Task received by client","Details":{}},{"Type":"Started","Time":1795332213000000000,"DisplayMessage":"Task started by client","Details":{}}]`
	allocOne   = `{"ID":"31b080cc-0000-4000-8000-000000000001","EvalID":"78e6b3dc-0000-4000-8000-000000000001","Name":"web.front[0]","Namespace":"default","NodeID":"cb5157a3-0000-4000-8000-000000000001","NodeName":"n1","JobID":"web","TaskGroup":"front","DesiredStatus":"run","ClientStatus":"running","ClientDescription":"Tasks are running","JobVersion":2,"CreateIndex":11,"ModifyIndex":14,"CreateTime":1795332211000000000,"ModifyTime":1795332213000000000}`
	allocTwo   = `{"ID":"31b0ffff-0000-4000-8000-000000000002","EvalID":"78e6b3dc-0000-4000-8000-000000000001","Name":"web.front[1]","Namespace":"default","NodeID":"cb5157a3-0000-4000-8000-000000000001","NodeName":"n1","JobID":"web","TaskGroup":"front","DesiredStatus":"run","ClientStatus":"pending","JobVersion":2,"CreateIndex":12,"ModifyIndex":14,"CreateTime":1795332000000000000,"ModifyTime":1795332000000000000}`
	evalDone   = `{"ID":"78e6b3dc-0000-4000-8000-000000000001","Namespace":"default","Priority":50,"Type":"service","TriggeredBy":"job-register","JobID":"web","DeploymentID":"664a8104-0000-4000-8000-000000000001","Status":"complete","PlanAnnotations":{"DesiredTGUpdates":{"front":{"Place":1,"Ignore":1}}},"CreateIndex":10,"ModifyIndex":12,"CreateTime":1795332211000000000,"ModifyTime":1795332211000000000,"RelatedEvals":[{"ID":"681efc2c-0000-4000-8000-000000000001","Priority":50,"TriggeredBy":"queued-allocs","Status":"blocked","StatusDescription":"created to place remaining allocations","NodeID":""}]}`
	evalPend   = `{"ID":"78e6b3dc-0000-4000-8000-000000000001","Namespace":"default","Priority":50,"Type":"service","TriggeredBy":"job-register","JobID":"web","Status":"pending","CreateIndex":10,"ModifyIndex":10,"CreateTime":1795332211000000000,"ModifyTime":1795332211000000000}`
	metrics    = `{"NodesEvaluated":3,"NodesFiltered":2,"NodesExhausted":1,"ClassFiltered":{"db":1},"ConstraintFiltered":{"${attr.kernel.name} = windows":1,"missing drivers":1},"DimensionExhausted":{"memory":1},"CoalescedFailures":1}`
	evalFail   = `{"ID":"78e6b3dc-0000-4000-8000-000000000001","Namespace":"default","Priority":50,"Type":"batch","TriggeredBy":"job-register","JobID":"web","Status":"complete","BlockedEval":"681efc2c-0000-4000-8000-000000000001","FailedTGAllocs":{"front":` + metrics + `},"CreateIndex":10,"ModifyIndex":12,"CreateTime":1795332211000000000,"ModifyTime":1795332211000000000}`
	evalBlock  = `{"ID":"681efc2c-0000-4000-8000-000000000001","Namespace":"default","Priority":50,"Type":"batch","TriggeredBy":"queued-allocs","JobID":"web","Status":"blocked","PreviousEval":"78e6b3dc-0000-4000-8000-000000000001","CreateIndex":11,"ModifyIndex":11}`
	deployRun  = `{"ID":"664a8104-0000-4000-8000-000000000001","Namespace":"default","JobID":"web","JobVersion":2,"Status":"running","StatusDescription":"Deployment is running","CreateIndex":11,"TaskGroups":{"front":{"DesiredTotal":2,"PlacedAllocs":1,"HealthyAllocs":0,"RequireProgressBy":null}}}`
	deployDone = `{"ID":"664a8104-0000-4000-8000-000000000001","Namespace":"default","JobID":"web","JobVersion":2,"Status":"successful","StatusDescription":"Deployment completed successfully","CreateIndex":11,"TaskGroups":{"front":{"DesiredTotal":2,"PlacedAllocs":2,"HealthyAllocs":2,"RequireProgressBy":"2026-11-22T07:33:31Z"}}}`
	deployFail = `{"ID":"1b930076-0000-4000-8000-000000000001","Namespace":"default","JobID":"cd","JobVersion":1,"Status":"failed","StatusDescription":"Failed due to progress deadline","CreateIndex":9,"TaskGroups":{"g":{"AutoRevert":true,"DesiredCanaries":1,"Promoted":false,"DesiredTotal":2,"PlacedAllocs":1,"UnhealthyAllocs":1,"RequireProgressBy":"2026-11-22T07:27:27Z"}}}`
	nodeOne    = `{"ID":"cb5157a3-0000-4000-8000-000000000001","Address":"127.0.0.1","Datacenter":"dc1","Name":"n1","NodeClass":"","NodePool":"default","Version":"2.0.6","Drain":false,"SchedulingEligibility":"eligible","Status":"ready","Attributes":{"os.name":"debian"}}`
	nodeTwo    = `{"ID":"cb51ffff-0000-4000-8000-000000000002","Address":"127.0.0.2","Datacenter":"dc1","Name":"n2","NodeClass":"db","NodePool":"gpu","Version":"2.0.6","Drain":true,"SchedulingEligibility":"ineligible","Status":"down"}`
	nodeFull   = `{"ID":"cb5157a3-0000-4000-8000-000000000001","Name":"n1","Datacenter":"dc1","NodePool":"default","Status":"ready","SchedulingEligibility":"eligible","HTTPAddr":"127.0.0.1:1","NodeMaxAllocs":20,
"Attributes":{"cpu.arch":"amd64","kernel.name":"linux"},"Meta":{"rack":"r1"},
"Drivers":{"exec":{"Detected":true,"Healthy":true,"HealthDescription":"Healthy","UpdateTime":"2026-11-22T07:00:00Z"},"wasm":{"Detected":true,"Healthy":false,"HealthDescription":"no cache","UpdateTime":"2026-11-22T07:00:00Z"},"docker":{"Detected":false}},
"NodeResources":{"Cpu":{"CpuShares":5200},"Memory":{"MemoryMB":3900},"Disk":{"DiskMB":40000}},"ReservedResources":{"Cpu":{"CpuShares":200},"Memory":{"MemoryMB":100},"Disk":{"DiskMB":0}},
"HostNetworks":{"public":{"Name":"public","CIDR":"10.0.0.0/8"}},
"Events":[{"Timestamp":"2026-11-22T06:00:00Z","Subsystem":"Cluster","Message":"Node registered"},{"Timestamp":"2026-11-22T06:10:00Z","Subsystem":"Drain","Message":"Node drain complete","Details":{"deadline_reached":"true"}}]}`
	allocFull = `{"ID":"31b080cc-0000-4000-8000-000000000001","EvalID":"78e6b3dc-0000-4000-8000-000000000001","Name":"web.front[0]","Namespace":"default","NodeID":"cb5157a3-0000-4000-8000-000000000001","NodeName":"n1","JobID":"web","TaskGroup":"front","DesiredStatus":"run","ClientStatus":"running","ClientDescription":"Tasks are running","DeploymentID":"664a8104-0000-4000-8000-000000000001","DeploymentStatus":{"Healthy":true},
"CreateIndex":11,"CreateTime":1795332211000000000,"ModifyTime":1795332213000000000,"Job":` + jobWeb + `,
"AllocatedResources":{"Shared":{"DiskMB":300,"Ports":[{"Label":"a","Value":19090,"To":8080,"HostIP":"127.0.0.1"}]},"TaskLifecycles":{"srv":null,"side":{"Hook":"prestart","Sidecar":true}},"Tasks":{"srv":{"Cpu":{"CpuShares":100},"Memory":{"MemoryMB":64,"MemoryMaxMB":128}},"side":{"Cpu":{"CpuShares":10},"Memory":{"MemoryMB":10}}}},
"Metrics":{"NodesEvaluated":1,"AllocationTime":85857,"ScoreMetaData":[{"NodeID":"cb5157a3-0000-4000-8000-000000000001","NormScore":0.0398,"Scores":{"binpack":0.0398,"node-affinity":0}}]},
"TaskStates":{"srv":{"State":"running","StartedAt":"2026-11-22T07:23:33Z","FinishedAt":null,"Events":` + events + `},"side":{"State":"dead","Restarts":2,"LastRestart":"2026-11-22T07:23:40Z","StartedAt":"2026-11-22T07:23:33Z","FinishedAt":"2026-11-22T07:24:00Z","Events":` + events + `}}}`
	allocUsage = `{"Tasks":{"srv":{"ResourceUsage":{"CpuStats":{"TotalTicks":12.4,"Percent":0.5,"ThrottledTime":1000,"Measured":["Percent","Throttled Time"]},"MemoryStats":{"Usage":1782579,"RSS":1000000,"Measured":["RSS","Usage"]}}}},"ResourceUsage":{"CpuStats":{"TotalTicks":12.4},"MemoryStats":{"Usage":1782579}}}`
	hostUsage  = `{"Uptime":3723,"CPUTicksConsumed":310.5,"Memory":{"Total":4089446400,"Used":1073741824,"Available":2147483648,"Free":536870912},"CPU":[{"CPU":"cpu0","User":1.5,"System":0.5,"Idle":98}],"DiskStats":[{"Device":"/dev/vda","Mountpoint":"/","Size":42949672960,"Used":10737418240,"Available":32212254720,"UsedPercent":25,"InodesUsedPercent":3}]}`
	members    = `{"ServerName":"s1","ServerRegion":"global","ServerDC":"dc1","Members":[{"Name":"s2.global","Addr":"127.0.0.2","Port":4648,"Status":"failed","Tags":{"region":"global","dc":"dc1","build":"1.2.3","raft_vsn":"3","port":"4647","rpc_addr":"127.0.0.2"}},{"Name":"s1.global","Addr":"127.0.0.1","Port":4648,"Status":"alive","ProtocolCur":2,"Tags":{"region":"global","dc":"dc1","build":"1.2.3","raft_vsn":"3","port":"4647","rpc_addr":"127.0.0.1"}}]}`
	plugins    = `[{"Name":"exec","Type":"driver","Version":"0.1.0","Protocol":"0.1.0","PID":42,"Health":"healthy","Tasks":3,"Restarts":0},{"Name":"wasm","Type":"driver","Version":"0.1.0","Protocol":"0.1.0","PID":0,"Health":"starting","Tasks":0,"Restarts":2}]`
	planBody   = `{"JobModifyIndex":32,"Annotations":{"DesiredTGUpdates":{"front":{"DestructiveUpdate":1,"Ignore":1}}},"Diff":{"Type":"Edited","ID":"web","Fields":[{"Type":"Edited","Name":"Meta[owner]","Old":"ops","New":"dev"},{"Type":"Added","Name":"Meta[tier]","Old":"","New":"1"}],"TaskGroups":[
{"Type":"Edited","Name":"front","Updates":{"create/destroy update":1,"ignore":1},"Fields":[{"Type":"Edited","Name":"Count","Old":"1","New":"3","Annotations":["forces create"]}],"Tasks":[{"Type":"Edited","Name":"srv","Annotations":["forces create/destroy update"],"Objects":[{"Type":"Edited","Name":"Resources","Fields":[{"Type":"None","Name":"CPU","Old":"100","New":"100"},{"Type":"Edited","Name":"MemoryMB","Old":"32","New":"48"},{"Type":"None","Name":"MemoryMaxMB","Old":"0","New":"0"}]},{"Type":"Added","Name":"Constraint","Fields":[{"Type":"Added","Name":"LTarget","Old":"","New":"${attr.cpu.arch}"}]}]},{"Type":"None","Name":"side"}]},
{"Type":"Added","Name":"new","Updates":{"create":1},"Tasks":[{"Type":"Added","Name":"t","Annotations":["forces create"],"Fields":[{"Type":"Added","Name":"Driver","Old":"","New":"exec"}]}]},
{"Type":"None","Name":"same","Updates":{"ignore":1},"Tasks":[{"Type":"None","Name":"t"}]}]}}`
	planSame = `{"JobModifyIndex":32,"Annotations":{"DesiredTGUpdates":{"front":{"Ignore":2}}},"Diff":{"Type":"None","ID":"web","TaskGroups":[{"Type":"None","Name":"front","Updates":{"ignore":2},"Tasks":[{"Type":"None","Name":"srv"}]}]}}`
	planFail = `{"JobModifyIndex":0,"Warnings":"1 warning:\n\n* deprecated\n\n","FailedTGAllocs":{"front":` + metrics + `},"Diff":{"Type":"Added","ID":"web","TaskGroups":[{"Type":"Added","Name":"front","Updates":{"create":1},"Tasks":[{"Type":"Added","Name":"srv","Annotations":["forces create"]}]}]}}`
	self     = `{"config":{},"member":{},"stats":{"client":{"node_id":"cb5157a3-0000-4000-8000-000000000001","num_allocations":"1"},"nomad":{"leader":"true"}}}`
)

const (
	allocPath = "/v1/allocation/31b080cc-0000-4000-8000-000000000001"
	evalPath  = "/v1/evaluation/78e6b3dc-0000-4000-8000-000000000001"
	nodePath  = "/v1/node/cb5157a3-0000-4000-8000-000000000001"
	depPath   = "/v1/deployment/664a8104-0000-4000-8000-000000000001"
	fsStat    = "GET /v1/client/fs/stat/31b080cc-0000-4000-8000-000000000001"
	fileX     = `{"Name":"x","IsDir":false,"Size":1700,"FileMode":"-rw-r--r--","ModTime":"2026-11-22T07:00:00Z","ContentType":"text/plain; charset=utf-8"}`
	clientOne = "/v1/client/allocation/31b080cc-0000-4000-8000-000000000001"
)

const schedulerConfig = `{"SchedulerConfig":{"SchedulerAlgorithm":"binpack","PreemptionConfig":{"SystemSchedulerEnabled":true},"ModifyIndex":5}}`

// draining is the node while it is being emptied.
var draining = strings.Replace(nodeFull, `"Status":"ready"`, `"Status":"ready","DrainStrategy":{"Deadline":300000000000}`, 1)

// standard are the replies of a small cluster.
func standard() map[string][]string {
	return map[string][]string{
		"GET /v1/jobs":                {list(stubWebTwo, stubWeb)},
		"GET /v1/jobs?prefix=web":     {list(stubWeb, stubWebTwo)},
		"GET /v1/jobs?prefix=we":      {list(stubWeb, stubWebTwo)},
		"GET /v1/jobs?prefix=web-":    {list(stubWebTwo)},
		"GET /v1/jobs?prefix=nope":    {"[]"},
		"GET /v1/job/web":             {jobWeb},
		"GET /v1/job/web/summary":     {`{"JobID":"web","Summary":{"front":{"Running":1,"Starting":1}}}`},
		"GET /v1/job/web/allocations": {list(allocTwo, allocOne)},
		"GET /v1/job/web/evaluations": {list(evalDone)},
		"GET /v1/job/web/deployment":  {deployDone},
		"GET /v1/job/web/deployments": {list(deployDone)},
		"GET /v1/job/web/versions": {`{"Versions":[` + strings.Replace(jobWeb, `"Version":2`, `"Version":2,"Stable":true`, 1) + `,` + strings.Replace(jobWeb, `"Version":2`, `"Version":1,"VersionTag":{"Name":"golden","Description":"keep"}`, 1) + `],
"Diffs":[{"Type":"Edited","ID":"web","TaskGroups":[{"Type":"Edited","Name":"front","Fields":[{"Type":"Edited","Name":"Count","Old":"1","New":"2"}]}]}]}`},
		"GET /v1/job/web/submission":    {`{"Source":"job \"web\" {}","Format":"hcl2","VariableFlags":{"n":"1"},"Version":2}`},
		"GET /v1/allocations?prefix=31": {list(allocOne, allocTwo)}, "GET /v1/allocations?prefix=31b080": {list(allocOne)},
		"GET /v1/allocations?prefix=31b0": {list(allocOne, allocTwo)}, "GET /v1/allocations?prefix=ab": {"[]"},
		"GET /v1/allocations": {list(allocOne, allocTwo)}, "GET " + allocPath: {allocFull},
		"GET " + clientOne + "/stats": {allocUsage},
		"GET /v1/evaluations":         {list(evalDone, evalBlock)}, "GET /v1/evaluations?prefix=78e6": {list(evalDone)},
		"GET /v1/evaluations?prefix=ab": {"[]"}, "GET " + evalPath: {evalDone}, "GET " + evalPath + "/allocations": {list(allocOne)},
		"GET /v1/deployments": {list(deployDone, deployFail)}, "GET /v1/deployments?prefix=664a": {list(deployDone)},
		"GET /v1/deployments?prefix=1b": {list(deployFail)}, "GET " + depPath: {deployDone},
		"GET /v1/nodes": {list(nodeOne, nodeTwo)}, "GET /v1/nodes?prefix=cb51": {list(nodeOne, nodeTwo)}, "GET /v1/nodes?prefix=cb5157": {list(nodeOne)},
		"GET /v1/nodes?prefix=ab": {"[]"}, "GET " + nodePath: {nodeFull}, "GET " + nodePath + "/allocations": {list(allocFull)},
		"GET /v1/client/stats":  {hostUsage},
		"GET /v1/agent/members": {members}, "GET /v1/status/leader": {`"127.0.0.1:4647"`}, "GET /v1/agent/plugins": {plugins}, "GET /v1/agent/self": {self},
		"PUT /v1/agent/join": {`{"error":"","num_joined":1,"warning":""}`}, "PUT /v1/system/gc": {""},
		"PUT /v1/agent/force-leave": {""},
		"PUT /v1/jobs":              {`{"EvalID":"78e6b3dc-0000-4000-8000-000000000001","JobModifyIndex":33,"Warnings":"1 warning:\n\n* old field\n\n"}`},
		"PUT /v1/job/web/plan":      {planBody}, "PUT /v1/validate/job": {`{"DriverConfigValidated":true,"ValidationErrors":null,"Error":"","Warnings":""}`},
		"DELETE /v1/job/web": {`{"EvalID":"78e6b3dc-0000-4000-8000-000000000001"}`}, "DELETE /v1/job/web-two": {`{"EvalID":""}`}, "GET /v1/job/web-two": {strings.Replace(jobWeb, `"ID":"web"`, `"ID":"web-two"`, 1)},
		"PUT /v1/job/web/revert": {`{"EvalID":"78e6b3dc-0000-4000-8000-000000000001"}`}, "PUT /v1/job/web/evaluate": {`{"EvalID":"78e6b3dc-0000-4000-8000-000000000001"}`},
		"PUT " + allocPath + "/stop":                                      {`{"EvalID":"78e6b3dc-0000-4000-8000-000000000001","Index":9}`},
		"PUT " + clientOne + "/restart":                                   {`{"Index":0}`},
		"PUT " + clientOne + "/signal":                                    {`{"Index":0}`},
		"PUT " + nodePath + "/eligibility":                                {`{}`},
		"PUT /v1/deployment/fail/664a8104-0000-4000-8000-000000000001":    {`{"EvalID":"","RevertedJobVersion":2}`},
		"PUT /v1/deployment/pause/664a8104-0000-4000-8000-000000000001":   {`{"EvalID":""}`},
		"PUT /v1/deployment/promote/664a8104-0000-4000-8000-000000000001": {`500!can't promote terminal deployment`},
		fsStat: {`{"Name":"31b080cc","IsDir":true}`},
		"GET /v1/client/fs/ls/31b080cc-0000-4000-8000-000000000001":     {list(`{"Name":"alloc","IsDir":true,"Size":4096,"FileMode":"drwxrwxrwx","ModTime":"2026-11-22T07:00:00Z"}`, fileX)},
		"GET /v1/client/fs/cat/31b080cc-0000-4000-8000-000000000001":    {"some text\n"},
		"GET /v1/client/fs/stream/31b080cc-0000-4000-8000-000000000001": {`{"Data":"dGV4dAo=","File":"alloc/x","Offset":10}`},
		"GET /v1/client/fs/logs/31b080cc-0000-4000-8000-000000000001":   {`{}{"Data":"b25lCnR3bwo=","File":"f"}{}{"Data":"dGhyZWUK","File":"f"}`},
		"PUT /v1/search": {`{"Matches":{"jobs":["web"],"nodes":null,"evals":[]},"Truncations":{}}`},
	}
}

// jobFileText is a job file for commands that read one.
const jobFileText = `job "web" {
  datacenters = ["dc1"]
  group "front" {
    task "srv" {
      driver = "exec"
      config { command = "/bin/true" }
    }
  }
}
`

func TestCommands(t *testing.T) {
	for _, tc := range []struct {
		name    string
		args    string
		stdin   string
		replies map[string][]string // instead of the standard ones
	}{
		{name: "job-list", args: "job status"},
		{name: "job-list-namespaces", args: "job status -namespace=*"},
		{name: "job-list-empty", args: "status", replies: map[string][]string{"GET /v1/jobs": {"[]"}}},
		{name: "job-status", args: "job status web"},
		{name: "job-status-short", args: "job status -short web"},
		{name: "job-status-verbose", args: "job status -verbose web"},
		{name: "job-status-json", args: "job status -json web"},
		{name: "job-status-template", args: "job status -t {{range.}}{{.Summary.JobID}}:{{len$.}}{{end}} web"},
		{name: "job-status-blocked", args: "job status web", replies: map[string][]string{"GET /v1/job/web/evaluations": {list(evalBlock, evalFail)}, "GET /v1/job/web/deployment": {"null"}, "GET /v1/job/web/allocations": {"[]"}}},
		{name: "job-status-rescheduling", args: "job status web", replies: map[string][]string{
			"GET /v1/job/web/evaluations": {list(strings.Replace(evalPend, `"Status":"pending"`, `"Status":"pending","WaitUntil":"2026-11-22T07:31:00Z"`, 1))},
			"GET /v1/job/web/allocations": {list(strings.Replace(allocOne, `"JobVersion"`, `"FollowupEvalID":"78e6b3dc-0000-4000-8000-000000000001","JobVersion"`, 1))},
		}},
		{name: "job-ambiguous", args: "job status we"},
		{name: "job-none", args: "job status nope"},
		{name: "job-both-formats", args: "job status -json -t x web"},
		{name: "job-run", args: "job run -", stdin: jobFileText, replies: map[string][]string{
			"GET " + evalPath:                  {evalPend, evalDone},
			"GET " + evalPath + "/allocations": {list(strings.Replace(allocOne, `"running"`, `"pending"`, 1)), list(allocOne)},
			"GET " + depPath:                   {deployRun, deployDone},
		}},
		{name: "job-run-unplaced", args: "run -", stdin: jobFileText, replies: map[string][]string{"GET " + evalPath: {evalFail}, "GET " + evalPath + "/allocations": {"[]"}}},
		{name: "job-run-failed-deployment", args: "run -verbose -", stdin: jobFileText, replies: map[string][]string{"GET " + depPath: {deployFail}}},
		{name: "job-run-warnings", args: "run -detach -", stdin: strings.Replace(jobFileText, "driver = \"exec\"", "driver = \"exec\"\n vault {}", 1)},
		{name: "job-run-rollback", args: "run -", stdin: jobFileText, replies: map[string][]string{
			"GET " + depPath:            {strings.Replace(strings.Replace(deployFail, "1b930076", "664a8104", 1), "progress deadline", "progress deadline - rolling back to job version 0", 1)},
			"GET /v1/job/cd/deployment": {strings.NewReplacer("664a8104", "aaaa0000", `"JobVersion":2`, `"JobVersion":3`).Replace(deployDone)},
			"GET /v1/deployment/aaaa0000-0000-4000-8000-000000000001": {strings.Replace(deployDone, "664a8104", "aaaa0000", 1)},
		}},
		{name: "job-run-detach", args: "job run -detach -eval-priority 7 -", stdin: jobFileText},
		{name: "job-run-check-index", args: "job run -check-index 3 -detach -", stdin: jobFileText, replies: map[string][]string{
			"PUT /v1/jobs": {"500!Enforcing job modify index 3: job exists with conflicting job modify index: 13"},
		}},
		{name: "job-run-refused", args: "job run -", stdin: jobFileText, replies: map[string][]string{"PUT /v1/jobs": {"403!Permission denied"}}},
		{name: "job-run-syntax", args: "job run -", stdin: "job {"},
		{name: "job-run-no-file", args: "job run"},
		{name: "job-plan", args: "job plan -var n=1 -hcl2-strict=false -", stdin: jobFileText},
		{name: "job-plan-verbose", args: "job plan -verbose -", stdin: jobFileText},
		{name: "job-plan-color", args: "job plan -force-color -", stdin: jobFileText},
		{name: "job-plan-same", args: "job plan -", stdin: jobFileText, replies: map[string][]string{"PUT /v1/job/web/plan": {planSame}}},
		{name: "job-plan-unplaced", args: "job plan -", stdin: jobFileText, replies: map[string][]string{"PUT /v1/job/web/plan": {planFail}}},
		{name: "job-plan-no-args", args: "job plan"},
		{name: "job-plan-error", args: "job plan -", stdin: jobFileText, replies: map[string][]string{"PUT /v1/job/web/plan": {"500!No cluster leader"}}},
		{name: "job-validate", args: "job validate -", stdin: jobFileText},
		{name: "job-validate-errors", args: "job validate -", stdin: jobFileText, replies: map[string][]string{
			"PUT /v1/validate/job": {`{"DriverConfigValidated":true,"ValidationErrors":["group \"front\": no","task"],"Error":"2 errors","Warnings":""}`},
		}},
		{name: "job-stop", args: "job stop web"},
		{name: "job-stop-purge-detach", args: "stop -purge -detach web"},
		{name: "job-stop-prefix-no", args: "stop web-", stdin: "n\n"},
		{name: "job-stop-prefix-yes", args: "stop web-", stdin: "perhaps\ny\n"},
		{name: "job-inspect", args: "job inspect web", replies: map[string][]string{"GET /v1/job/web": {`{"ID":"web","Meta":{"b":"<&>","a":null},"Name":"web","Version":12345678901234567890}`}}},
		{name: "job-inspect-hcl", args: "inspect -hcl -with-vars web"},
		{name: "job-inspect-version", args: "inspect -version 1 -t {{.Version}}:{{.VersionTag.Name}} web"},
		{name: "job-history", args: "job history web"},
		{name: "job-history-diff", args: "job history -p web"},
		{name: "job-revert", args: "job revert web 1", replies: map[string][]string{"PUT /v1/job/web/revert": {"500!can't revert to current version"}}},
		{name: "job-revert-detach", args: "job revert -detach web golden"},
		{name: "job-eval", args: "job eval -detach web"},
		{name: "job-allocs", args: "job allocs web"},
		{name: "job-deployments", args: "job deployments web"},
		{name: "job-start-running", args: "job start web"},
		{name: "alloc-status", args: "alloc status 31b080"},
		{name: "alloc-status-odd", args: "alloc status -short 31b08"},
		{name: "alloc-status-stats", args: "alloc status -stats -verbose 31b080cc-0000-4000-8000-000000000001", replies: map[string][]string{"GET /v1/allocations?prefix=31b080cc-0000-4000-8000-000000000001": {list(allocOne)}}},
		{name: "alloc-status-ambiguous", args: "alloc status 31"},
		{name: "alloc-status-none", args: "alloc status ab"},
		{name: "alloc-status-one-letter", args: "alloc status 3"},
		{name: "alloc-status-no-args", args: "alloc status"},
		{name: "alloc-status-json", args: "alloc status -json 31b080", replies: map[string][]string{"GET " + allocPath: {`{"ID":"31b080cc","CreateIndex":1}`}}},
		{name: "alloc-stop", args: "alloc stop -detach 31b080"},
		{name: "alloc-restart", args: "alloc restart 31b080 srv"},
		{name: "alloc-restart-unknown", args: "alloc restart 31b080 nosuch"},
		{name: "alloc-signal", args: "alloc signal -s SIGHUP 31b080"},
		{name: "alloc-logs-which", args: "alloc logs 31b080"},
		{name: "alloc-exec-which", args: "alloc exec 31b080 /bin/sh"},
		{name: "alloc-logs", args: "alloc logs 31b080 srv"},
		{name: "alloc-logs-tail", args: "logs -tail -n 2 -stderr 31b080 srv"},
		{name: "alloc-logs-follow", args: "logs -f 31b080 srv"},
		{name: "alloc-logs-job", args: "logs -job web -task srv", replies: map[string][]string{"GET /v1/job/web/allocations": {list(allocOne)}}},
		{name: "alloc-logs-error", args: "logs 31b080 srv", replies: map[string][]string{"GET /v1/client/fs/logs/31b080cc-0000-4000-8000-000000000001": {"404!No path to node"}}},
		{name: "alloc-logs-node-down", args: "logs 31b080 srv", replies: map[string][]string{"GET " + nodePath: {strings.Replace(nodeFull, `"ready"`, `"down"`, 1)}}},
		{name: "alloc-fs", args: "alloc fs 31b080"},
		{name: "alloc-fs-bytes", args: "fs -H 31b080 alloc"},
		{name: "alloc-fs-stat", args: "fs -stat 31b080 alloc/x", replies: map[string][]string{fsStat: {fileX}}},
		{name: "alloc-fs-cat", args: "fs 31b080 alloc/x", replies: map[string][]string{fsStat: {fileX}}},
		{name: "alloc-fs-tail", args: "fs -tail -c 5 31b080 alloc/x", replies: map[string][]string{fsStat: {fileX}}},
		{name: "alloc-fs-none", args: "fs 31b080 nope", replies: map[string][]string{fsStat: {"404!open nope: no such file or directory"}}},
		{name: "node-list", args: "node status"},
		{name: "node-list-verbose", args: "node status -verbose -os"},
		{name: "node-list-quiet", args: "node status -quiet"},
		{name: "node-list-page", args: "node status -per-page 1"},
		{name: "node-list-allocs", args: "node status -allocs", replies: map[string][]string{"GET /v1/nodes": {list(nodeOne)}}},
		{name: "node-status", args: "node status cb5157"},
		{name: "node-status-verbose", args: "node status -verbose -stats -self"},
		{name: "node-status-short", args: "node status -short cb5157"},
		{name: "node-ambiguous", args: "node status cb51"},
		{name: "node-none", args: "node status ab"},
		{name: "node-drain", args: "node drain -enable -deadline 5m -m rack cb5157a3-0000-4000-8000-000000000001", replies: map[string][]string{
			"GET /v1/nodes?prefix=cb5157a3-0000-4000-8000-000000000001": {list(nodeOne)}, "PUT " + nodePath + "/drain": {"{}"},
			"GET " + nodePath: {draining, draining, draining, nodeFull},
			"GET " + nodePath + "/allocations": {
				list(allocOne),
				list(strings.Replace(allocOne, `"DesiredStatus":"run"`, `"DesiredStatus":"run","DesiredTransition":{"Migrate":true}`, 1)),
				list(strings.Replace(allocOne, `"DesiredStatus":"run"`, `"DesiredStatus":"stop","DesiredTransition":{"Migrate":true}`, 1)),
				list(strings.NewReplacer(`"DesiredStatus":"run"`, `"DesiredStatus":"stop"`, `"running"`, `"complete"`).Replace(allocOne)),
			},
		}},
		{name: "node-drain-prefix-no", args: "node drain -enable cb5157", stdin: "\n"},
		{name: "node-drain-disable", args: "node drain -disable -yes cb5157", replies: map[string][]string{"PUT " + nodePath + "/drain": {"{}"}}},
		{name: "node-drain-none", args: "node drain -monitor -self"},
		{name: "node-drain-unsaid", args: "node drain cb5157"},
		{name: "job-dispatch", args: "job dispatch -meta k=v -detach web -", stdin: "payload", replies: map[string][]string{"PUT /v1/job/web/dispatch": {`{"DispatchedJobID":"web/dispatch-1-abc","EvalID":"78e6b3dc-0000-4000-8000-000000000001"}`}}},
		{name: "job-dispatch-wait", args: "job dispatch -wait web", replies: map[string][]string{
			"PUT /v1/job/web/dispatch":                   {`{"DispatchedJobID":"web/dispatch-1-abc","EvalID":"78e6b3dc-0000-4000-8000-000000000001"}`},
			"GET " + evalPath:                            {strings.Replace(evalDone, `"DeploymentID":"664a8104-0000-4000-8000-000000000001",`, "", 1)},
			"GET /v1/job/web/dispatch-1-abc/allocations": {list(allocOne), list(strings.Replace(allocOne, `"running"`, `"failed"`, 1))},
		}},
		{name: "job-periodic-force", args: "job periodic force -detach web", replies: map[string][]string{"PUT /v1/job/web/periodic/force": {`{"EvalID":"78e6b3dc-0000-4000-8000-000000000001"}`}}},
		{name: "job-scale", args: "job scale -detach web 4", replies: map[string][]string{"PUT /v1/job/web/scale": {`{"EvalID":"78e6b3dc-0000-4000-8000-000000000001"}`}}},
		{name: "job-scale-blocked", args: "job scale web front 4", replies: map[string][]string{"PUT /v1/job/web/scale": {`400!job scaling blocked due to active deployment`}}},
		{name: "raft-list-peers", args: "operator raft list-peers", replies: map[string][]string{"GET /v1/operator/raft/configuration": {`{"Index":0,"Servers":[{"ID":"u1","Node":"s1.global","Address":"127.0.0.1:4647","Leader":true,"Voter":true,"RaftProtocol":"3"}]}`}}},
		{name: "scheduler-get-config", args: "operator scheduler get-config", replies: map[string][]string{"GET /v1/operator/scheduler/configuration": {schedulerConfig}}},
		{name: "scheduler-set-config", args: "operator scheduler set-config -scheduler-algorithm=spread -preempt-system-scheduler=false", replies: map[string][]string{
			"GET /v1/operator/scheduler/configuration": {schedulerConfig}, "PUT /v1/operator/scheduler/configuration": {`{"Updated":true,"Index":9}`},
		}},
		{name: "help-group-nested", args: "operator"},
		{name: "node-eligibility", args: "node eligibility -disable cb5157"},
		{name: "node-eligibility-unsaid", args: "node eligibility cb5157"},
		{name: "server-members", args: "server members"},
		{name: "server-members-verbose", args: "server members -verbose"},
		{name: "server-members-old", args: "server-members"},
		{name: "server-members-no-leader", args: "server members", replies: map[string][]string{"GET /v1/status/leader": {"500!No cluster leader"}}},
		{name: "server-join", args: "server join 127.0.0.2"},
		{name: "server-join-error", args: "server join x", replies: map[string][]string{"PUT /v1/agent/join": {`{"error":"no answer","num_joined":0}`}}},
		{name: "eval-list", args: "eval list"},
		{name: "eval-status", args: "eval status 78e6"},
		{name: "eval-status-unplaced", args: "eval status 78e6", replies: map[string][]string{"GET " + evalPath: {evalFail}, "GET " + evalPath + "/allocations": {"[]"}}},
		{name: "eval-monitor", args: "eval status -monitor 78e6", replies: map[string][]string{"GET " + evalPath: {strings.Replace(evalDone, `"DeploymentID":"664a8104-0000-4000-8000-000000000001",`, "", 1)}}},
		{name: "eval-none", args: "eval status ab"},
		{name: "deployment-list", args: "deployment list"},
		{name: "deployment-status", args: "deployment status 1b"},
		{name: "deployment-monitor", args: "deployment status -monitor 664a"},
		{name: "deployment-fail", args: "deployment fail 664a"},
		{name: "deployment-pause", args: "deployment pause 664a"},
		{name: "deployment-promote", args: "deployment promote 664a"},
		{name: "plugin-list", args: "plugin list"},
		{name: "status-route", args: "status web"},
		{name: "status-several", args: "status c", replies: map[string][]string{"PUT /v1/search": {`{"Matches":{"jobs":["cd","ce"],"nodes":["cb5157a3-0000-4000-8000-000000000001"]}}`}}},
		{name: "status-none", args: "status x", replies: map[string][]string{"PUT /v1/search": {`{"Matches":{}}`}}},
		{name: "status-no-search", args: "status 664a", replies: map[string][]string{"PUT /v1/search": {"404!"}, "GET /v1/jobs?prefix=664a": {"[]"}, "GET /v1/allocations?prefix=664a": {"[]"}, "GET /v1/evaluations?prefix=664a": {"[]"}, "GET /v1/nodes?prefix=664a": {"[]"}, "GET /v1/deployments?prefix=664a8104-0000-4000-8000-000000000001": {list(deployDone)}}},
		{name: "system-gc", args: "system gc"},
		{name: "agent-info", args: "agent-info"},
		{name: "operator-api", args: "operator api /v1/agent/self"},
		{name: "version", args: "version"},
		{name: "version-flag", args: "-version"},
		{name: "help", args: "-help"},
		{name: "help-none", args: ""},
		{name: "help-unknown", args: "bogus"},
		{name: "help-group", args: "alloc"},
		{name: "help-group-unknown", args: "alloc bogus"},
		{name: "help-leaf", args: "eval list -h"},
		{name: "flag-unknown", args: "eval list -bogus"},
		{name: "flag-no-value", args: "eval list -job"},
		{name: "too-many-args", args: "server members x"},
		{name: "bad-address", args: "job status -address=127.0.0.1:4646"},
		{name: "half-certificate", args: "job status -client-cert=x.pem"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			replies := standard()
			for k, v := range tc.replies {
				replies[k] = v
			}
			agent := newFakeAgent(t, replies)
			code, stdout, stderr := invoke(t, agent.URL, tc.stdin, strings.Fields(tc.args)...)
			var b strings.Builder
			fmt.Fprintf(&b, "$ serai %s\n-- exit code --\n%d\n-- stdout --\n%s-- stderr --\n%s-- writes --\n", tc.args, code, stdout, stderr)
			for _, w := range agent.writes {
				fmt.Fprintln(&b, shorten(w))
			}
			golden(t, "commands/"+tc.name, strings.ReplaceAll(b.String(), agent.URL, "http://agent"))
		})
	}
}

// shorten leaves the job out of a recorded write: its form is the parser's
// affair.
func shorten(w string) string {
	head, body, ok := strings.Cut(w, " {")
	if !ok {
		return w
	}
	var m map[string]any
	if json.Unmarshal([]byte("{"+body), &m) != nil {
		return w
	}
	if job, ok := m["Job"].(map[string]any); ok {
		m["Job"] = fmt.Sprintf("job %v", job["ID"])
	}
	out, err := json.Marshal(m)
	if err != nil {
		return w
	}
	return head + " " + string(out)
}
