package localstate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/tinylib/msgp/msgp"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/seraiproject/serai/core/model"
)

// Buckets. Keys of tasks are "<alloc>/<task>", of jobs
// "<namespace>\x00<job>\x00<create index><version>" with 8 bytes each. The
// value of an allocation is the length of its job's key (2 bytes), that key,
// and the allocation.
var (
	bucketAllocs  = []byte("allocs")
	bucketJobs    = []byte("jobs")
	bucketHealth  = []byte("health")
	bucketTasks   = []byte("tasks")
	bucketPlugins = []byte("plugins")
	bucketNode    = []byte("node")

	buckets = [][]byte{bucketAllocs, bucketJobs, bucketHealth, bucketTasks, bucketPlugins, bucketNode}
)

// DB is a node's local state. It is safe for use by many goroutines.
type DB struct {
	bolt *bbolt.DB
	mark string // file that says in which boot the DB is open
}

// Open opens the file at path, or makes it. A file that can't be trusted is
// moved away first and named in setAside: one that is damaged, or one that was
// open when the machine (not only the agent) went down. boot identifies the
// running boot of the machine, as from BootID. It fails when another agent has
// the file open.
func Open(path, boot string) (db *DB, setAside string, err error) {
	mark := path + ".boot"
	if last, rerr := os.ReadFile(mark); rerr == nil && string(last) != boot {
		setAside, err = moveAway(path)
		if err != nil {
			return nil, "", err
		}
	}
	b, err := open(path)
	if errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrChecksum) || errors.Is(err, errDamaged) {
		setAside, err = moveAway(path)
		if err != nil {
			return nil, "", err
		}
		b, err = open(path)
	}
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, "", fmt.Errorf("open local state %s: another agent uses it; stop that one or choose another data_dir", path)
	}
	if err == nil {
		if err = replaceFile(mark, []byte(boot)); err != nil {
			b.Close()
		}
	}
	if err != nil {
		return nil, "", fmt.Errorf("open local state %s: %w", path, err)
	}
	return &DB{bolt: b, mark: mark}, setAside, nil
}

// BootID identifies the running boot of the machine.
func BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

func moveAway(path string) (to string, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	to = fmt.Sprintf("%s.damaged-%d", path, time.Now().Unix())
	if err := os.Rename(path, to); err != nil {
		return "", fmt.Errorf("set local state aside: %w", err)
	}
	return to, nil
}

var errDamaged = errors.New("damaged")

func open(path string) (b *bbolt.DB, err error) {
	// bbolt reports broken pages by panics.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	b, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      2 * time.Second,
		NoSync:       true,
		NoGrowSync:   true,
		FreelistType: bbolt.FreelistMapType,
	})
	if err != nil {
		return nil, err
	}
	err = b.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Close forces everything to the disk and closes the file.
func (db *DB) Close() error {
	err := db.bolt.Sync()
	if cerr := db.bolt.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Remove(db.mark)
	}
	if err != nil {
		return fmt.Errorf("close local state: %w", err)
	}
	return nil
}

// An AllocRecord is an allocation as the node last received it, with its job,
// and the health that the node decided on.
type AllocRecord struct {
	Alloc  *model.Allocation
	Health *model.AllocDeploymentStatus // nil: not decided
}

// jobKey tells versions of a job apart, also when it was purged and begins
// with version 0 again.
func jobKey(j *model.Job) []byte {
	k := append([]byte(j.Namespace), 0)
	k = append(append(k, j.ID...), 0)
	k = binary.BigEndian.AppendUint64(k, j.CreateIndex)
	return binary.BigEndian.AppendUint64(k, j.Version)
}

// splitAlloc takes the value of an allocation apart.
func splitAlloc(v []byte) (job, alloc []byte, err error) {
	if len(v) < 2 || len(v) < 2+int(binary.BigEndian.Uint16(v)) {
		return nil, nil, errors.New("value is cut short")
	}
	n := 2 + int(binary.BigEndian.Uint16(v))
	return v[2:n], v[n:], nil
}

// PutAlloc stores an allocation and, once per version, its job.
func (db *DB) PutAlloc(a *model.Allocation) error {
	if a.Job == nil {
		return fmt.Errorf("store alloc %s: it has no job", a.ID)
	}
	bare := *a
	bare.Job = nil
	bare.JobVersion = a.Job.Version
	key := jobKey(a.Job)
	enc := append(binary.BigEndian.AppendUint16(nil, uint16(len(key))), key...)
	enc, err := bare.MarshalMsg(enc)
	if err != nil {
		return fmt.Errorf("store alloc %s: %w", a.ID, err)
	}
	err = db.bolt.Update(func(tx *bbolt.Tx) error {
		jobs := tx.Bucket(bucketJobs)
		// The same version can come with another modify index (it became
		// stable, or its status changed); what tasks see is the same.
		if jobs.Get(key) == nil {
			j, err := a.Job.MarshalMsg(nil)
			if err != nil {
				return err
			}
			if err := jobs.Put(key, j); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketAllocs).Put([]byte(a.ID), enc)
	})
	if err != nil {
		return fmt.Errorf("store alloc %s: %w", a.ID, err)
	}
	return nil
}

// PutHealth stores what the node decided of an allocation's health; nil
// forgets it.
func (db *DB) PutHealth(id model.AllocID, h *model.AllocDeploymentStatus) error {
	if h == nil {
		return db.delete(bucketHealth, []byte(id))
	}
	return db.put(bucketHealth, []byte(id), h)
}

// DeleteAlloc forgets an allocation and its tasks. One that is not there is no
// error.
func (db *DB) DeleteAlloc(id model.AllocID) error {
	err := db.bolt.Update(func(tx *bbolt.Tx) error {
		allocs := tx.Bucket(bucketAllocs)
		if err := allocs.Delete([]byte(id)); err != nil {
			return err
		}
		if err := tx.Bucket(bucketHealth).Delete([]byte(id)); err != nil {
			return err
		}
		tasks := tx.Bucket(bucketTasks)
		prefix := []byte(string(id) + "/")
		c := tasks.Cursor()
		for k, _ := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, _ = c.Seek(prefix) {
			if err := tasks.Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget alloc %s: %w", id, err)
	}
	return nil
}

// Allocs returns every allocation with its job, and drops jobs that no
// allocation uses any more. An allocation that can't be read, or whose job is
// missing, is left out and told of in faults.
func (db *DB) Allocs() (records []*AllocRecord, faults []error, err error) {
	err = db.bolt.Update(func(tx *bbolt.Tx) error {
		jobs := map[string]*model.Job{}
		c := tx.Bucket(bucketAllocs).Cursor()
		for k, v := c.First(); k != nil; k, v = c.Next() {
			var a model.Allocation
			jk, v, err := splitAlloc(v)
			if err == nil {
				_, err = a.UnmarshalMsg(v)
			}
			if err != nil {
				faults = append(faults, fmt.Errorf("read alloc %s: %w", k, err))
				continue
			}
			key := string(jk)
			if jobs[key] == nil {
				var j model.Job
				if _, err := j.UnmarshalMsg(tx.Bucket(bucketJobs).Get([]byte(key))); err != nil {
					faults = append(faults, fmt.Errorf("read job %s of alloc %s: %w", a.JobID, k, err))
					continue
				}
				jobs[key] = &j
			}
			a.Job = jobs[key]
			r := &AllocRecord{Alloc: &a}
			if h := tx.Bucket(bucketHealth).Get(k); h != nil {
				r.Health = &model.AllocDeploymentStatus{}
				if _, err := r.Health.UnmarshalMsg(h); err != nil {
					faults = append(faults, fmt.Errorf("read health of alloc %s: %w", k, err))
					r.Health = nil
				}
			}
			records = append(records, r)
		}
		var unused [][]byte
		c = tx.Bucket(bucketJobs).Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			if jobs[string(k)] == nil {
				unused = append(unused, bytes.Clone(k))
			}
		}
		for _, k := range unused {
			if err := tx.Bucket(bucketJobs).Delete(k); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read allocs of local state: %w", err)
	}
	return records, faults, nil
}

// PutTask stores how far a task came.
func (db *DB) PutTask(id model.AllocID, task string, state msgp.Marshaler) error {
	return db.put(bucketTasks, []byte(string(id)+"/"+task), state)
}

// Task fills into with what PutTask stored; false when there is nothing.
func (db *DB) Task(id model.AllocID, task string, into msgp.Unmarshaler) (bool, error) {
	return db.read(bucketTasks, []byte(string(id)+"/"+task), into)
}

// PutPlugin stores how to find a running plugin process again; nil forgets it.
func (db *DB) PutPlugin(name string, record []byte) error {
	if record == nil {
		return db.delete(bucketPlugins, []byte(name))
	}
	return db.bolt.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketPlugins).Put([]byte(name), record) })
}

// Plugins returns what PutPlugin stored, by name.
func (db *DB) Plugins() (map[string][]byte, error) {
	records := map[string][]byte{}
	err := db.bolt.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketPlugins).ForEach(func(k, v []byte) error {
			records[string(k)] = bytes.Clone(v)
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("read plugins of local state: %w", err)
	}
	return records, nil
}

func (db *DB) put(bucket, key []byte, v msgp.Marshaler) error {
	enc, err := v.MarshalMsg(nil)
	if err == nil {
		err = db.bolt.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key, enc) })
	}
	if err != nil {
		return fmt.Errorf("store %s %s: %w", bucket, key, err)
	}
	return nil
}

func (db *DB) delete(bucket, key []byte) error {
	if err := db.bolt.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Delete(key) }); err != nil {
		return fmt.Errorf("forget %s %s: %w", bucket, key, err)
	}
	return nil
}

func (db *DB) read(bucket, key []byte, into msgp.Unmarshaler) (found bool, err error) {
	err = db.bolt.View(func(tx *bbolt.Tx) error {
		v := tx.Bucket(bucket).Get(key)
		if v == nil {
			return nil
		}
		found = true
		// Decoded values may keep parts of their input, which is only
		// valid inside the transaction.
		_, err := into.UnmarshalMsg(bytes.Clone(v))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("read %s %s: %w", bucket, key, err)
	}
	return found, nil
}
