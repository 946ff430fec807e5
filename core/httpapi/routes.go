package httpapi

import (
	"net/http"
	"net/url"
	"strings"
)

const (
	get = http.MethodGet
	put = http.MethodPut
	del = http.MethodDelete
)

// routes is the map of the API.
func (s *Server) routes() {
	s.handle("/v1/jobs", methods{get: jobList, put: jobRegister})
	s.handle("/v1/jobs/parse", methods{put: jobParse})
	s.handle("/v1/validate/job", methods{put: jobValidate})
	s.tail("/v1/job/", "", []suffix{
		{"/plan", methods{put: jobPlan}},
		{"/versions", methods{get: jobVersions}},
		{"/submission", methods{get: jobSubmission}},
		{"/allocations", methods{get: jobAllocations}},
		{"/evaluations", methods{get: jobEvaluations}},
		{"/deployments", methods{get: jobDeployments}},
		{"/deployment", methods{get: jobDeployment}},
		{"/summary", methods{get: jobSummary}},
		{"/scale", methods{get: jobScaleStatus, put: jobScale}},
		{"/evaluate", methods{put: jobEvaluate}},
		{"/dispatch", methods{put: jobDispatch}},
		{"/periodic/force", methods{put: jobPeriodicForce}},
		{"/revert", methods{put: jobRevert}},
		{"/stable", methods{put: jobStable}},
		{"/actions", methods{get: jobActions}},
		{"", methods{get: jobRead, put: jobUpdate, del: jobDelete}},
	})

	s.handle("/v1/evaluations", methods{get: evalList})
	s.handle("/v1/evaluations/count", methods{get: evalCount})
	s.tail("/v1/evaluation/", "eval", []suffix{
		{"/allocations", methods{get: evalAllocations}},
		{"", methods{get: evalRead}},
	})
	s.handle("/v1/deployments", methods{get: deploymentList})
	s.head("/v1/deployment/", []suffix{
		{"allocations/", methods{get: deploymentAllocations}},
		{"fail/", methods{put: deploymentFail}},
		{"pause/", methods{put: deploymentPause}},
		{"promote/", methods{put: deploymentPromote}},
		{"allocation-health/", methods{put: deploymentHealth}},
		{"", methods{get: deploymentRead}},
	})
	s.handle("/v1/allocations", methods{get: allocList})
	s.tail("/v1/allocation/", "alloc", []suffix{
		{"/stop", methods{put: allocStop}},
		{"", methods{get: allocRead}},
	})

	s.handle("/v1/nodes", methods{get: nodeList})
	s.handle("/v1/node/pools", methods{get: nodePoolList})
	s.tail("/v1/node/pool/", "", []suffix{{"", methods{get: nodePoolRead}}})
	s.tail("/v1/node/", "node", []suffix{
		{"/allocations", methods{get: nodeAllocations}},
		{"/evaluate", methods{put: nodeEvaluate}},
		{"/drain", methods{put: nodeDrain}},
		{"/eligibility", methods{put: nodeEligibility}},
		{"/purge", methods{put: nodePurge}},
		{"", methods{get: nodeRead}},
	})
	s.handle("/v1/namespaces", methods{get: namespaceList})
	s.tail("/v1/namespace/", "", []suffix{{"", methods{get: namespaceRead}}})

	s.handle("/v1/client/stats", methods{get: clientStats})
	s.handle("/v1/client/gc", methods{get: clientGC, put: clientGC})
	s.tail("/v1/client/allocation/", "", []suffix{
		{"/stats", methods{get: clientAllocStats}},
		{"/gc", methods{get: clientAllocGC}},
		{"/restart", methods{get: clientAllocRestart, put: clientAllocRestart}},
		{"/signal", methods{put: clientAllocSignal}},
		{"/checks", methods{get: clientAllocChecks}},
		{"/exec", methods{get: clientAllocExec}},
	})
	s.head("/v1/client/fs/", []suffix{
		{"ls/", methods{get: fsList}},
		{"stat/", methods{get: fsStat}},
		{"cat/", methods{get: fsCat}},
		{"readat/", methods{get: fsReadAt}},
		{"stream/", methods{get: fsStream}},
		{"logs/", methods{get: fsLogs}},
	})

	s.handle("/v1/agent/self", methods{get: agentSelf})
	s.handle("/v1/agent/members", methods{get: agentMembers})
	s.handle("/v1/agent/join", methods{put: agentJoin})
	s.handle("/v1/agent/force-leave", methods{put: agentForceLeave})
	s.handle("/v1/agent/servers", methods{get: agentServers, put: agentSetServers})
	s.handle("/v1/agent/health", methods{get: agentHealth})
	s.handle("/v1/agent/reload", methods{put: agentReload})
	s.handle("/v1/agent/plugins", methods{get: agentPlugins})

	s.handle("/v1/status/leader", methods{get: statusLeader})
	s.handle("/v1/status/peers", methods{get: statusPeers})
	s.handle("/v1/regions", methods{get: regionList})
	s.handle("/v1/system/gc", methods{put: systemGC})
	s.handle("/v1/system/reconcile/summaries", methods{put: systemReconcile})
	s.handle("/v1/operator/raft/configuration", methods{get: raftConfiguration})
	s.handle("/v1/operator/raft/peer", methods{del: raftRemovePeer})
	s.handle("/v1/operator/scheduler/configuration", methods{get: schedulerConfig, put: setSchedulerConfig})
	s.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
}

// A suffix (or, with head, a prefix) of the path beside an object's ID.
type suffix struct {
	text    string
	methods methods
}

// tail routes by the end of the path, so that IDs may hold slashes. When kind
// is not empty, IDs are UUIDs, and a path with more to it is not found.
func (s *Server) tail(prefix, kind string, table []suffix) {
	s.mux.HandleFunc(prefix, func(w http.ResponseWriter, r *http.Request) {
		rest := strings.TrimPrefix(r.URL.Path, prefix)
		if raw := r.URL.RawPath; raw != "" {
			// ServeMux decoded the path; decode it again from what came in,
			// for IDs that hold an escaped slash.
			if u, err := url.PathUnescape(strings.TrimPrefix(raw, prefix)); err == nil {
				rest = u
			}
		}
		for _, e := range table {
			id, ok := strings.CutSuffix(rest, e.text)
			if !ok {
				continue
			}
			if id == "" {
				break
			}
			if kind != "" && kind != "node" && strings.Contains(id, "/") {
				fail(w, notFound("resource not found"))
				return
			}
			s.answer(w, r, e.methods, id)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
}

// head routes by what stands before the ID.
func (s *Server) head(prefix string, table []suffix) {
	s.mux.HandleFunc(prefix, func(w http.ResponseWriter, r *http.Request) {
		rest := strings.TrimPrefix(r.URL.Path, prefix)
		for _, e := range table {
			id, ok := strings.CutPrefix(rest, e.text)
			if !ok {
				continue
			}
			if strings.Contains(id, "/") {
				fail(w, notFound("resource not found"))
				return
			}
			s.answer(w, r, e.methods, id)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
}
