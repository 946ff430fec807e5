package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/ugorji/go/codec"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

// A request is one call of the API on its way through a handler.
type request struct {
	s     *Server
	w     http.ResponseWriter
	r     *http.Request
	query url.Values
	id    string // of the object that the path names

	read     rpc.QueryOptions
	hijacked bool // the handler answers by itself
}

func (r *request) ctx() context.Context { return r.r.Context() }

func (r *request) caller() rpc.Caller { return r.s.cfg.Caller }

// parseOptions reads the parameters that every endpoint has.
func (r *request) parseOptions() error {
	q := r.query
	r.read = rpc.QueryOptions{
		Region:    q.Get("region"),
		Namespace: q.Get("namespace"),
		AuthToken: token(r.r),
		Prefix:    q.Get("prefix"),
		Filter:    q.Get("filter"),
		NextToken: q.Get("next_token"),
		Reverse:   q.Get("reverse") == "true",
	}
	if r.read.Namespace == "" {
		r.read.Namespace = model.DefaultNamespace
	}
	_, r.read.AllowStale = q["stale"]
	if v := q.Get("index"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return badRequest("Invalid index")
		}
		r.read.MinIndex = n
	}
	if v := q.Get("wait"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			return badRequest("Invalid wait time")
		}
		r.read.MaxWait = max(d, 0)
	}
	if v := q.Get("per_page"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return badRequest("Expect a number for `per_page` query string parameter")
		}
		r.read.PerPage = n
	}
	return nil
}

func token(r *http.Request) string {
	if t := r.Header.Get("X-Nomad-Token"); t != "" {
		return t
	}
	scheme, t, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "bearer") {
		return strings.TrimSpace(t)
	}
	return ""
}

// write is what every write carries.
func (r *request) write() rpc.WriteRequest {
	return rpc.WriteRequest{Region: r.read.Region, Namespace: r.read.Namespace, AuthToken: r.read.AuthToken}
}

// flag reads a boolean parameter.
func (r *request) flag(name string) (bool, error) {
	v := r.query.Get(name)
	if v == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fmt.Errorf("Failed to parse value of %q (%s) as a bool: %v", name, v, err) //nolint:revive // text of the API
	}
	return b, nil
}

// decode reads the request's body; optional bodies may be empty.
func (r *request) decode(v any, optional bool) error {
	body, err := io.ReadAll(r.r.Body)
	if err != nil {
		return badRequest("read request body: " + err.Error())
	}
	if len(bytes.TrimSpace(body)) == 0 {
		if optional {
			return nil
		}
		return badRequest("Request body is empty")
	}
	if err := json.Unmarshal(body, v); err != nil {
		return badRequest(err.Error())
	}
	return nil
}

// meta sets the headers of a read.
func (r *request) meta(m *rpc.QueryMeta) {
	h := r.w.Header()
	h["X-Nomad-Index"] = []string{strconv.FormatUint(m.Index, 10)}
	h["X-Nomad-Knownleader"] = []string{strconv.FormatBool(m.KnownLeader)}
	h["X-Nomad-Lastcontact"] = []string{strconv.FormatInt(m.LastContact.Milliseconds(), 10)}
	if m.NextToken != "" {
		h["X-Nomad-Nexttoken"] = []string{m.NextToken}
	}
}

// index sets the header of a write.
func (r *request) index(n uint64) {
	r.w.Header()["X-Nomad-Index"] = []string{strconv.FormatUint(n, 10)}
}

// uuid checks that the path names an object by its complete ID.
func (r *request) uuid(thing string) error {
	if len(r.id) != 36 {
		return fmt.Errorf("%s lookup failed: index error: UUID must be 36 characters", thing)
	}
	return nil
}

// readErr gives errors of reads their status.
func readErr(err error, what string) error {
	if errors.Is(err, model.ErrNotFound) {
		return notFound(what)
	}
	return filterErr(err)
}

// filterErr makes faults of a filter or a page the caller's.
func filterErr(err error) error {
	if errors.Is(err, model.ErrInvalid) {
		return badRequest(err.Error())
	}
	return err
}

// jsonHandle encodes answers: keys sorted, no escapes for HTML, null for nil
// and for the zero time, floats with a decimal point.
var jsonHandle = newHandle(0)

var prettyHandle = newHandle(4)

func newHandle(indent int8) *codec.JsonHandle {
	h := &codec.JsonHandle{HTMLCharsAsIs: true, Indent: indent}
	h.Canonical = true
	h.TypeInfos = codec.NewTypeInfos([]string{"json"})
	return h
}

// raw is an answer that is JSON already.
type raw []byte

// encode renders v as JSON. Top-level lists are never null.
func encode(v any, pretty bool) ([]byte, error) {
	if b, ok := v.(raw); ok {
		return b, nil
	}
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.Slice && rv.IsNil() {
		return []byte("[]"), nil
	}
	h := jsonHandle
	if pretty {
		h = prettyHandle
	}
	var out []byte
	if err := codec.NewEncoderBytes(&out, h).Encode(v); err != nil {
		return nil, err
	}
	if pretty {
		out = append(out, '\n')
	}
	return out, nil
}

// jsonNull answers null where nil would answer nothing.
type jsonNull struct{}

// minGzip is the size from which answers are compressed when asked for.
const minGzip = 4096

func (r *request) send(v any) error {
	if v == nil {
		r.w.WriteHeader(http.StatusOK)
		return nil
	}
	if _, ok := v.(jsonNull); ok {
		v = raw("null")
	}
	head := r.w.Header()
	zip := strings.Contains(r.r.Header.Get("Accept-Encoding"), "gzip")
	if list, ok := v.(*listBody); ok {
		body := list.plain
		if zip && len(body) >= minGzip {
			gz, err := list.compressed()
			if err != nil {
				return err
			}
			head.Set("Content-Encoding", "gzip")
			body = gz
		}
		head.Set("Content-Type", "application/json")
		_, err := r.w.Write(body)
		return err
	}
	_, pretty := r.query["pretty"]
	body, err := encode(v, pretty)
	if err != nil {
		fail(r.w, fmt.Errorf("encode answer: %w", err))
		return err
	}
	head.Set("Content-Type", "application/json")
	if zip && len(body) >= minGzip {
		if body, err = compress(body); err != nil {
			return err
		}
		head.Set("Content-Encoding", "gzip")
	}
	_, err = r.w.Write(body)
	return err
}
