package jobspec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/hashicorp/hcl/v2"
)

// A jsonValue is a value of a JSON file with its place.
type jsonValue struct {
	offset  int
	scalar  any // string, json.Number, bool or nil
	isList  bool
	list    []*jsonValue
	isMap   bool
	members []jsonMember
}

type jsonMember struct {
	key    string
	offset int
	value  *jsonValue
}

// isAPIJob reports whether src is JSON with a job as the HTTP API has it.
func isAPIJob(src []byte) bool {
	if !looksLikeJSON(src) {
		return false
	}
	// The first key often tells, even if what follows is broken.
	dec := json.NewDecoder(bytes.NewReader(src))
	for range 2 {
		if tok, err := dec.Token(); err == nil && tok == "Job" {
			return true
		}
	}
	var top map[string]json.RawMessage
	if json.Unmarshal(src, &top) != nil {
		return false
	}
	if _, ok := top["Job"]; ok {
		return true
	}
	if _, ok := top["job"]; ok {
		return false
	}
	_, id := top["ID"]
	_, groups := top["TaskGroups"]
	return id || groups
}

// apiJob decodes a job of the HTTP API, bare or under "Job".
func (d *decoder) apiJob(filename string, src []byte) map[string]any {
	r := &apiReader{decoder: d, file: filename, src: src}
	if !d.checkJSON(filename, src) {
		return nil
	}
	v := r.parse()
	if v == nil {
		return nil
	}
	if !v.isMap {
		r.faultf(v.offset, "a job is an object: write {\"Job\": { … }}")
		return nil
	}
	for _, m := range v.members {
		if strings.EqualFold(m.key, "Job") {
			if !m.value.isMap {
				r.faultf(m.value.offset, "Job needs an object")
				return nil
			}
			return r.object(jobSpec, m.value)
		}
	}
	return r.object(jobSpec, v)
}

// An apiReader reads the JSON of the HTTP API by the table.
type apiReader struct {
	*decoder
	file string
	src  []byte
	dec  *json.Decoder
}

// faultf and remarkf report about the value at offset. Finding its place takes
// long in a large file, so it is not looked for in vain.
func (r *apiReader) faultf(offset int, format string, args ...any) {
	var at hcl.Range
	if !r.full(false) {
		at = placeOf(r.file, r.src, offset)
	}
	r.errorf(at, format, args...)
}

func (r *apiReader) remarkf(offset int, format string, args ...any) {
	if !r.full(true) {
		r.warnf(placeOf(r.file, r.src, offset), format, args...)
	}
}

// parse reads the whole file, or reports why it cannot.
func (r *apiReader) parse() *jsonValue {
	r.dec = json.NewDecoder(bytes.NewReader(r.src))
	r.dec.UseNumber()
	v, err := r.value()
	if err == nil {
		if _, more := r.dec.Token(); !errors.Is(more, io.EOF) {
			r.faultf(r.next(), "nothing may follow the job")
			return nil
		}
		return v
	}
	offset := int(r.dec.InputOffset())
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		offset = max(0, int(syntax.Offset)-1)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		err = errors.New("the file ends in the middle of a value")
		offset = len(r.src)
	}
	r.faultf(offset, "invalid JSON: %v", err)
	return nil
}

// next is where the next token begins.
func (r *apiReader) next() int {
	i := int(r.dec.InputOffset())
	for i < len(r.src) && bytes.IndexByte([]byte(" \t\r\n,:"), r.src[i]) >= 0 {
		i++
	}
	return i
}

func (r *apiReader) value() (*jsonValue, error) {
	v := &jsonValue{offset: r.next()}
	tok, err := r.dec.Token()
	if err != nil {
		return nil, err
	}
	delim, ok := tok.(json.Delim)
	if !ok {
		v.scalar = tok
		return v, nil
	}
	switch delim {
	case '[':
		v.isList = true
		for r.dec.More() {
			e, err := r.value()
			if err != nil {
				return nil, err
			}
			v.list = append(v.list, e)
		}
	case '{':
		v.isMap = true
		for r.dec.More() {
			offset := r.next()
			key, err := r.dec.Token()
			if err != nil {
				return nil, err
			}
			name, _ := key.(string)
			e, err := r.value()
			if err != nil {
				return nil, err
			}
			v.members = append(v.members, jsonMember{key: name, offset: offset, value: e})
		}
	}
	_, err = r.dec.Token() // the closing bracket
	return v, err
}

func (v *jsonValue) isNull() bool { return !v.isMap && !v.isList && v.scalar == nil }

// object decodes an object with a fixed set of keys. Unknown keys are
// ignored, with a remark.
func (r *apiReader) object(s *spec, v *jsonValue) map[string]any {
	out := s.blank()
	for _, m := range v.members {
		if s.labelKey != "" && strings.EqualFold(m.key, s.labelKey) {
			if x, ok := r.scalar(&attr{key: s.labelKey, kind: kindString}, m.value); ok {
				out[s.labelKey] = x
			}
			continue
		}
		if a := s.attrByKey(m.key); a != nil {
			if x, ok := r.scalar(a, m.value); ok {
				out[a.key] = x
			}
			continue
		}
		if b := s.blockByKey(m.key); b != nil {
			out[b.key] = r.block(b, m.value)
			continue
		}
		r.remarkf(m.offset, "unknown field %s is ignored%s", quoted(m.key), r.similar(m.key, s))
	}
	if s.sparse {
		prune(out)
	}
	return out
}

func (r *apiReader) similar(key string, s *spec) string {
	lower := map[string]string{}
	var names []string
	for k := range s.blank() {
		lower[strings.ToLower(k)] = k
		names = append(names, strings.ToLower(k))
	}
	hint := suggest(key, names)
	for l, k := range lower {
		if hint == fmt.Sprintf("; did you mean %q?", l) {
			return fmt.Sprintf("; did you mean %q?", k)
		}
	}
	return ""
}

// block decodes the value of a key that holds objects.
func (r *apiReader) block(b *block, v *jsonValue) any {
	if v.isNull() {
		return nil
	}
	switch b.form {
	case formList:
		if !v.isList {
			r.faultf(v.offset, "%s needs a list", b.key)
			return nil
		}
		list := make([]any, 0, len(v.list))
		for i, e := range v.list {
			if !e.isMap {
				r.faultf(e.offset, "element %d of %s needs to be an object", i, b.key)
				continue
			}
			list = append(list, r.inside(b, e))
		}
		return list
	case formTable:
		if !v.isMap {
			break
		}
		out := map[string]any{}
		for _, m := range v.members {
			if !m.value.isMap {
				r.faultf(m.value.offset, "%s of %s needs to be an object", quoted(m.key), b.key)
				continue
			}
			x := r.inside(b, m.value)
			if x[b.spec.labelKey] == "" {
				x[b.spec.labelKey] = m.key
			}
			out[m.key] = x
		}
		return out
	}
	if !v.isMap {
		r.faultf(v.offset, "%s needs an object", b.key)
		return nil
	}
	return r.inside(b, v)
}

func (r *apiReader) inside(b *block, v *jsonValue) map[string]any {
	var kind kind
	switch b.spec.open {
	case closed:
		return r.object(b.spec, v)
	case openStrings:
		kind = kindString
	case openLists:
		kind = kindStrings
	case openAny:
		kind = kindAny
	}
	out := make(map[string]any, len(v.members))
	for _, m := range v.members {
		if x, ok := r.scalar(&attr{key: m.key, kind: kind}, m.value); ok {
			out[m.key] = x
		}
	}
	return out
}

// scalar decodes the value of an attribute.
func (r *apiReader) scalar(a *attr, v *jsonValue) (any, bool) {
	if v.isNull() {
		return a.unset(), true
	}
	x, err := apiValue(a.kind, v)
	if err != nil {
		r.faultf(v.offset, "%s: %v", a.key, err)
		return nil, false
	}
	return x, true
}

func apiValue(k kind, v *jsonValue) (any, error) {
	switch k {
	case kindString:
		if s, ok := v.scalar.(string); ok {
			return s, nil
		}
	case kindBool:
		if b, ok := v.scalar.(bool); ok {
			return b, nil
		}
	case kindInt, kindDuration:
		if _, ok := v.scalar.(string); ok && k == kindDuration {
			return nil, errors.New("needs whole nanoseconds; texts such as \"30s\" belong in HCL")
		}
		return apiInt(v, math.MinInt64, math.MaxInt64)
	case kindInt8:
		return apiInt(v, math.MinInt8, math.MaxInt8)
	case kindUint8:
		return apiInt(v, 0, math.MaxUint8)
	case kindUint16:
		return apiInt(v, 0, math.MaxUint16)
	case kindUint32:
		return apiInt(v, 0, math.MaxUint32)
	case kindUint64:
		return apiInt(v, 0, math.MaxInt64)
	case kindStrings:
		if v.isList {
			return apiList(v, func(e *jsonValue) (any, error) { return apiValue(kindString, e) })
		}
	case kindUint16s:
		if v.isList {
			return apiList(v, func(e *jsonValue) (any, error) { return apiInt(e, 0, math.MaxUint16) })
		}
	case kindStringMap:
		if v.isMap {
			return apiMap(v, kindString)
		}
	case kindAny:
		switch {
		case v.isList:
			return apiList(v, func(e *jsonValue) (any, error) { return apiValue(kindAny, e) })
		case v.isMap:
			return apiMap(v, kindAny)
		}
		return v.scalar, nil
	}
	return nil, fmt.Errorf("needs %s", k.noun())
}

func apiInt(v *jsonValue, least, most int64) (any, error) {
	n, ok := v.scalar.(json.Number)
	if !ok {
		return nil, errors.New("needs a whole number")
	}
	i, err := n.Int64()
	if err != nil {
		return nil, fmt.Errorf("needs a whole number, not %s", brief(n.String()))
	}
	if i < least || i > most {
		return nil, fmt.Errorf("must lie between %d and %d", least, most)
	}
	return i, nil
}

func apiList(v *jsonValue, each func(*jsonValue) (any, error)) (any, error) {
	out := make([]any, 0, len(v.list))
	for i, e := range v.list {
		x, err := each(e)
		if err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
		out = append(out, x)
	}
	return out, nil
}

func apiMap(v *jsonValue, k kind) (any, error) {
	out := make(map[string]any, len(v.members))
	for _, m := range v.members {
		x, err := apiValue(k, m.value)
		if err != nil {
			return nil, fmt.Errorf("key %s: %w", quoted(m.key), err)
		}
		out[m.key] = x
	}
	return out, nil
}
