package cluster

// A Draft is a View with changes that are only being considered. It copies the
// nodes it changes. It is not safe for concurrent use.
type Draft struct {
	*View
	own []*Node // by ordinal; nil where the view's node still holds
}

// NewDraft starts a draft of the view.
func NewDraft(v *View) *Draft { return &Draft{View: v, own: make([]*Node, v.length)} }

// At returns the node as the draft has it, or nil. It must not be changed.
func (d *Draft) At(ordinal int32) *Node {
	if n := d.own[ordinal]; n != nil {
		return n
	}
	return d.View.At(ordinal)
}

// Own returns the node for changing it.
func (d *Draft) Own(ordinal int32) *Node {
	n := d.own[ordinal]
	if n == nil {
		n = d.View.At(ordinal).Clone()
		d.own[ordinal] = n
	}
	return n
}
