package state

import (
	"encoding/binary"
	"fmt"

	memdb "github.com/hashicorp/go-memdb"

	"github.com/seraiproject/serai/core/model"
)

// A Table names one table; its index moves with every change of it.
type Table string

// The tables.
const (
	TableNodes       Table = "nodes"
	TableJobs        Table = "jobs"
	TableJobVersions Table = "job_versions"
	TableSubmissions Table = "job_submissions"
	TableSummaries   Table = "job_summaries"
	TableEvals       Table = "evals"
	TableAllocs      Table = "allocs"
	TableDeployments Table = "deployments"
	TableNodePools   Table = "node_pools"
	TableNamespaces  Table = "namespaces"
	TableConfig      Table = "scheduler_config"
	TableLaunches    Table = "periodic_launches"

	tableIndex   Table = "index"       // one tableIndexes
	tableTally   Table = "job_tallies" // tally by job
	tableCluster Table = "cluster"     // one clusterRow
)

// tableIndexes holds the index of every table's last change, by position. It is
// one row: a command changes several tables, and writing a row is what costs.
type tableIndexes struct{ of [16]uint64 }

// position is where a table's index is in tableIndexes.
var position = func() map[Table]int {
	p := map[Table]int{}
	for i, t := range Tables() {
		p[t] = i
	}
	return p
}()

// Indexes of the tables.
const (
	byID         = "id"
	byCreate     = "create"
	byJob        = "job"
	byNode       = "node"
	byEval       = "eval"
	byDeployment = "deployment"
)

// key is a memdb indexer that needs no reflection: of makes the key of a row,
// and arguments are the key itself. ok=false leaves the row out of the index.
type key[T any] struct {
	of func(T) (k []byte, ok bool)
}

func (k key[T]) FromObject(obj any) (bool, []byte, error) {
	row, ok := obj.(T)
	if !ok {
		return false, nil, fmt.Errorf("index row: unexpected type %T", obj)
	}
	b, ok := k.of(row)
	return ok, b, nil
}

func (k key[T]) FromArgs(args ...any) ([]byte, error) {
	if b, ok := args[0].([]byte); ok {
		return b, nil
	}
	return nil, fmt.Errorf("index key: unexpected type %T", args[0])
}

func (k key[T]) PrefixFromArgs(args ...any) ([]byte, error) { return k.FromArgs(args...) }

// end closes a part of a key, so that no part is a prefix of another.
const end = 0

func key1(s string) []byte {
	b := make([]byte, 0, len(s)+1)
	return append(append(b, s...), end)
}

func key2(a, b string) []byte {
	k := make([]byte, 0, len(a)+len(b)+2)
	k = append(append(k, a...), end)
	return append(append(k, b...), end)
}

func keyNumber(k []byte, n uint64) []byte { return binary.BigEndian.AppendUint64(k, n) }

// prefix1 is a key1 that is not finished.
func prefix1(s string) []byte { return []byte(s) }

// prefix2 is a key2 whose second part is not finished.
func prefix2(a, b string) []byte {
	k := key2(a, b)
	return k[:len(k)-1]
}

func createKey(index uint64, id string) []byte { return append(keyNumber(nil, index), id...) }

func jobKey(k model.JobKey) []byte { return key2(k.Namespace, string(k.ID)) }

func unique[T any](name string, of func(T) []byte) *memdb.IndexSchema {
	return &memdb.IndexSchema{Name: name, Unique: true, Indexer: key[T]{func(t T) ([]byte, bool) { return of(t), true }}}
}

func many[T any](name string, of func(T) ([]byte, bool)) *memdb.IndexSchema {
	return &memdb.IndexSchema{Name: name, AllowMissing: true, Indexer: key[T]{of}}
}

func table(name Table, indexes ...*memdb.IndexSchema) *memdb.TableSchema {
	t := &memdb.TableSchema{Name: string(name), Indexes: map[string]*memdb.IndexSchema{}}
	for _, x := range indexes {
		t.Indexes[x.Name] = x
	}
	return t
}

// schema builds the schema. Rows of a table all have the one type its
// indexers take.
func schema() *memdb.DBSchema {
	s := &memdb.DBSchema{Tables: map[string]*memdb.TableSchema{}}
	for _, t := range []*memdb.TableSchema{
		table(tableIndex, unique(byID, func(*tableIndexes) []byte { return clusterKey })),
		table(tableTally, unique(byID, func(t *tally) []byte { return jobKey(t.key) })),
		table(tableCluster, unique(byID, func(*clusterRow) []byte { return clusterKey })),
		table(TableNodes, unique(byID, func(n *model.Node) []byte { return key1(string(n.ID)) })),
		table(TableJobs, unique(byID, func(j *model.Job) []byte { return key2(j.Namespace, string(j.ID)) })),
		table(TableJobVersions, unique(byID, func(j *model.Job) []byte {
			return keyNumber(key2(j.Namespace, string(j.ID)), j.Version)
		})),
		table(TableSubmissions, unique(byID, func(s *model.JobSubmission) []byte {
			return keyNumber(key2(s.Namespace, string(s.JobID)), s.Version)
		})),
		table(TableSummaries, unique(byID, func(s *model.JobSummary) []byte { return key2(s.Namespace, string(s.JobID)) })),
		table(TableEvals,
			unique(byID, func(e *model.Evaluation) []byte { return key1(string(e.ID)) }),
			unique(byCreate, func(e *model.Evaluation) []byte { return createKey(e.CreateIndex, string(e.ID)) }),
			many(byJob, func(e *model.Evaluation) ([]byte, bool) { return key2(e.Namespace, string(e.JobID)), true }),
		),
		table(TableAllocs,
			unique(byID, func(a *model.Allocation) []byte { return key1(string(a.ID)) }),
			unique(byCreate, func(a *model.Allocation) []byte { return createKey(a.CreateIndex, string(a.ID)) }),
			many(byJob, func(a *model.Allocation) ([]byte, bool) { return key2(a.Namespace, string(a.JobID)), true }),
			many(byNode, func(a *model.Allocation) ([]byte, bool) { return key1(string(a.NodeID)), true }),
			many(byEval, func(a *model.Allocation) ([]byte, bool) { return key1(string(a.EvalID)), true }),
			many(byDeployment, func(a *model.Allocation) ([]byte, bool) {
				return key1(string(a.DeploymentID)), a.DeploymentID != ""
			}),
		),
		table(TableDeployments,
			unique(byID, func(d *model.Deployment) []byte { return key1(string(d.ID)) }),
			unique(byCreate, func(d *model.Deployment) []byte { return createKey(d.CreateIndex, string(d.ID)) }),
			many(byJob, func(d *model.Deployment) ([]byte, bool) { return key2(d.Namespace, string(d.JobID)), true }),
		),
		table(TableNodePools, unique(byID, func(p *model.NodePool) []byte { return key1(p.Name) })),
		table(TableNamespaces, unique(byID, func(n *model.Namespace) []byte { return key1(n.Name) })),
		table(TableConfig, unique(byID, func(*model.SchedulerConfiguration) []byte { return clusterKey })),
		table(TableLaunches, unique(byID, func(l *PeriodicLaunch) []byte { return jobKey(l.Key()) })),
	} {
		s.Tables[t.Name] = t
	}
	return s
}
