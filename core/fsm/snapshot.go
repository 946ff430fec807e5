package fsm

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/tinylib/msgp/msgp"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/state"
)

// record says what a record of a snapshot is. The numbers are part of the
// format.
type record byte

const (
	recordHeader     record = 1
	recordTable      record = 2
	recordNamespace  record = 3
	recordNodePool   record = 4
	recordConfig     record = 5
	recordNode       record = 6
	recordJob        record = 7
	recordSubmission record = 8
	recordSummary    record = 9
	recordLaunch     record = 10
	recordEval       record = 11
	recordDeployment record = 12
	recordAlloc      record = 13
	recordTrailer    record = 255
)

// snapshotVersion is the version of the format.
const snapshotVersion = 1

// maxRecord bounds one record, in bytes: enough for any job and allocation.
const maxRecord = 64 << 20

// SnapshotHeader starts a snapshot.
type SnapshotHeader struct {
	Version int
	Index   uint64
}

// SnapshotTrailer ends a snapshot. A snapshot without it was cut off.
type SnapshotTrailer struct {
	Records uint64 // before the trailer
}

// TableIndex is the index of a table's last change.
type TableIndex struct {
	Table string
	Index uint64
}

// JobRecord is a distinct job. It is numbered by its place among them, from 0.
type JobRecord struct {
	Job     *model.Job
	Current bool // it is the job
	Version bool // it is a version of the job
}

// AllocRecord is an allocation without its job.
type AllocRecord struct {
	Alloc *model.Allocation
	Job   int // number of the job; -1 for none
}

type writer struct {
	out     *bufio.Writer
	buf     []byte
	records uint64
	err     error
}

func (w *writer) put(r record, m msgp.Marshaler) {
	if w.err != nil {
		return
	}
	if w.buf, w.err = m.MarshalMsg(w.buf[:0]); w.err != nil {
		return
	}
	var head [1 + binary.MaxVarintLen64]byte
	head[0] = byte(r)
	n := 1 + binary.PutUvarint(head[1:], uint64(len(w.buf)))
	if _, w.err = w.out.Write(head[:n]); w.err == nil {
		_, w.err = w.out.Write(w.buf)
	}
	w.records++
}

// WriteSnapshot writes a state.
func WriteSnapshot(to io.Writer, s *state.Snapshot) error {
	w := &writer{out: bufio.NewWriterSize(to, 1<<20)}
	w.put(recordHeader, &SnapshotHeader{Version: snapshotVersion, Index: s.Index()})
	for _, t := range state.Tables() {
		if index := s.StoredTableIndex(t); index > 0 {
			w.put(recordTable, &TableIndex{string(t), index})
		}
	}
	for n := range s.Namespaces(nil, "") {
		w.put(recordNamespace, n)
	}
	for p := range s.NodePools(nil, "") {
		w.put(recordNodePool, p)
	}
	w.put(recordConfig, s.SchedulerConfig(nil))
	for n := range s.Nodes(nil, "") {
		w.put(recordNode, n)
	}
	numbers := w.jobs(s)
	for sub := range s.AllSubmissions {
		w.put(recordSubmission, sub)
	}
	for sum := range s.AllSummaries {
		w.put(recordSummary, sum)
	}
	for l := range s.Launches() {
		w.put(recordLaunch, l)
	}
	for e := range s.Evals(nil) {
		w.put(recordEval, e)
	}
	for d := range s.Deployments(nil) {
		w.put(recordDeployment, d)
	}
	for a := range s.Allocs(nil) {
		bare := *a
		bare.Job = nil
		number := -1
		if a.Job != nil {
			number = numbers[a.Job]
		}
		w.put(recordAlloc, &AllocRecord{&bare, number})
	}
	w.put(recordTrailer, &SnapshotTrailer{w.records})
	if w.err == nil {
		w.err = w.out.Flush()
	}
	return w.err
}

// jobs writes every distinct job once and returns their numbers.
func (w *writer) jobs(s *state.Snapshot) map[*model.Job]int {
	versions := map[*model.Job]bool{}
	for v := range s.AllJobVersions {
		versions[v] = true
	}
	numbers := map[*model.Job]int{}
	put := func(j *model.Job, current bool) {
		if _, done := numbers[j]; !done {
			numbers[j] = len(numbers)
			w.put(recordJob, &JobRecord{j, current, versions[j]})
		}
	}
	for j := range s.Jobs(nil, model.AllNamespaces, "") {
		put(j, true)
	}
	for v := range s.AllJobVersions {
		put(v, false)
	}
	for a := range s.Allocs(nil) {
		if a.Job != nil {
			put(a.Job, false)
		}
	}
	return numbers
}

type reader struct {
	in      *bufio.Reader
	buf     []byte
	records uint64
}

// next reads a record. Its bytes are good until the next one.
func (r *reader) next() (record, []byte, error) {
	kind, err := r.in.ReadByte()
	if err != nil {
		return 0, nil, cutOff(err)
	}
	size, err := binary.ReadUvarint(r.in)
	if err != nil {
		return 0, nil, cutOff(err)
	}
	if size > maxRecord {
		return 0, nil, fmt.Errorf("record %d: %d bytes are too many", r.records, size)
	}
	if uint64(cap(r.buf)) < size {
		r.buf = make([]byte, size)
	}
	r.buf = r.buf[:size]
	if _, err = io.ReadFull(r.in, r.buf); err != nil {
		return 0, nil, cutOff(err)
	}
	return record(kind), r.buf, nil
}

func cutOff(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("the snapshot was cut off: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// ReadSnapshot reads a state.
func ReadSnapshot(from io.Reader) (*state.Store, error) {
	r := &reader{in: bufio.NewReaderSize(from, 1<<20)}
	to := state.NewRestore()
	var jobs []*model.Job
	for {
		kind, b, err := r.next()
		if err != nil {
			return nil, err
		}
		if kind == recordTrailer {
			t, err := decode(b, &SnapshotTrailer{})
			if err != nil {
				return nil, err
			}
			if t.Records != r.records {
				return nil, fmt.Errorf("the snapshot has %d records, its trailer says %d", r.records, t.Records)
			}
			return to.Finish(), nil
		}
		if r.records == 0 && kind != recordHeader {
			return nil, fmt.Errorf("not a snapshot: it starts with record %d", kind)
		}
		if jobs, err = restore(to, jobs, kind, b); err != nil {
			return nil, fmt.Errorf("record %d: %w", r.records, err)
		}
		r.records++
	}
}

// restore puts one record into the store. It returns the jobs read so far.
func restore(to *state.Restore, jobs []*model.Job, kind record, b []byte) ([]*model.Job, error) {
	var err error
	switch kind {
	case recordHeader:
		var h *SnapshotHeader
		if h, err = decode(b, &SnapshotHeader{}); err == nil && h.Version != snapshotVersion {
			err = fmt.Errorf("unknown version %d of the snapshot; upgrade this server", h.Version)
		}
	case recordTable:
		var t *TableIndex
		if t, err = decode(b, &TableIndex{}); err == nil {
			to.TableIndex(state.Table(t.Table), t.Index)
		}
	case recordNamespace:
		err = take(b, &model.Namespace{}, to.Namespace)
	case recordNodePool:
		err = take(b, &model.NodePool{}, to.NodePool)
	case recordConfig:
		err = take(b, &model.SchedulerConfiguration{}, to.SchedulerConfig)
	case recordNode:
		err = take(b, &model.Node{}, to.Node)
	case recordSubmission:
		err = take(b, &model.JobSubmission{}, to.Submission)
	case recordSummary:
		err = take(b, &model.JobSummary{}, to.Summary)
	case recordLaunch:
		err = take(b, &state.PeriodicLaunch{}, to.Launch)
	case recordEval:
		err = take(b, &model.Evaluation{}, to.Eval)
	case recordDeployment:
		err = take(b, &model.Deployment{}, to.Deployment)
	case recordJob:
		var j *JobRecord
		if j, err = decode(b, &JobRecord{}); err == nil && j.Job == nil {
			err = errors.New("a job record without a job")
		}
		if err == nil {
			jobs = append(jobs, j.Job)
			if j.Current {
				to.Job(j.Job)
			}
			if j.Version {
				to.JobVersion(j.Job)
			}
		}
	case recordAlloc:
		var a *AllocRecord
		if a, err = decode(b, &AllocRecord{}); err == nil && a.Alloc == nil {
			err = errors.New("an allocation record without an allocation")
		}
		if err == nil {
			if a.Job >= len(jobs) {
				return jobs, fmt.Errorf("allocation %s: job number %d is unknown", a.Alloc.ID, a.Job)
			}
			if a.Job >= 0 {
				a.Alloc.Job = jobs[a.Job]
			}
			to.Alloc(a.Alloc)
		}
	default:
		err = fmt.Errorf("unknown kind %d; a newer server wrote it, upgrade this one", kind)
	}
	return jobs, err
}

func decode[T msgp.Unmarshaler](b []byte, into T) (T, error) {
	_, err := into.UnmarshalMsg(b)
	return into, err
}

func take[T msgp.Unmarshaler](b []byte, into T, put func(T)) error {
	_, err := into.UnmarshalMsg(b)
	if err == nil {
		put(into)
	}
	return err
}
