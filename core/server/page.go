package server

import (
	"cmp"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/hashicorp/go-bexpr"

	"github.com/seraiproject/serai/core/model"
	"github.com/seraiproject/serai/core/rpc"
)

// page fills a list: the objects that the filter takes, from NextToken on, at
// most PerPage. token makes the token of an object; a page starts at the first
// object whose token is not before it. before orders tokens.
func page[T any](q *rpc.QueryOptions, meta *rpc.QueryMeta, all iter.Seq[T], token func(T) string, take func(T)) error {
	var match *bexpr.Evaluator
	if q.Filter != "" {
		var err error
		if match, err = bexpr.CreateEvaluator(q.Filter); err != nil {
			return model.Errorf(model.ErrInvalid, "failed to create result paginator: failed to read filter expression: %w", err)
		}
	}
	meta.NextToken = ""
	skipping := q.NextToken != ""
	n := 0
	for v := range all {
		if skipping {
			if token(v) != q.NextToken && !after(token(v), q.NextToken, q.Reverse) {
				continue
			}
			skipping = false
		}
		if match != nil {
			ok, err := match.Evaluate(v)
			if err != nil {
				return model.Errorf(model.ErrInvalid, "failed to read result page: %w", err)
			}
			if !ok {
				continue
			}
		}
		if q.PerPage != 0 && n >= q.PerPage {
			meta.NextToken = token(v)
			return nil
		}
		take(v)
		n++
	}
	return nil
}

// after reports whether token a comes behind b in the order of the list.
func after(a, b string, reverse bool) bool {
	c := compareTokens(a, b)
	if reverse {
		return c < 0
	}
	return c > 0
}

// compareTokens orders tokens; numbers before the first dot count by size.
func compareTokens(a, b string) int {
	headA, restA, _ := strings.Cut(a, ".")
	headB, restB, _ := strings.Cut(b, ".")
	numA, errA := strconv.ParseUint(headA, 10, 64)
	numB, errB := strconv.ParseUint(headB, 10, 64)
	if errA == nil && errB == nil {
		return cmp.Or(cmp.Compare(numA, numB), strings.Compare(restA, restB))
	}
	return strings.Compare(a, b)
}

// createToken is the token of what is listed by create index.
func createToken(index uint64, id string) string { return fmt.Sprintf("%d.%s", index, id) }
