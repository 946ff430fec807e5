package jobspec

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"net"
	"net/netip"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

var cidrHostFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "prefix", Type: cty.String}, {Name: "hostnum", Type: cty.Number}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := prefix(args[0])
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		n, accuracy := args[1].AsBigFloat().Int(nil)
		if n == nil || accuracy != big.Exact {
			return cty.NilVal, function.NewArgErrorf(1, "needs a whole number")
		}
		size := new(big.Int).Lsh(big.NewInt(1), uint(p.Addr().BitLen()-p.Bits()))
		if n.Sign() < 0 { // counted from the end
			n = new(big.Int).Add(size, n)
		}
		if n.Sign() < 0 || n.Cmp(size) >= 0 {
			return cty.NilVal, function.NewArgErrorf(1, "%s has no host of that number", p)
		}
		return cty.StringVal(offset(p.Masked().Addr(), n).String()), nil
	},
})

var cidrNetmaskFunc = function.New(&function.Spec{
	Params: []function.Parameter{{Name: "prefix", Type: cty.String}},
	Type:   function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := prefix(args[0])
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		if !p.Addr().Is4() {
			return cty.NilVal, function.NewArgErrorf(0, "only IPv4 prefixes have a netmask")
		}
		return cty.StringVal(net.IP(net.CIDRMask(p.Bits(), 32)).String()), nil
	},
})

var cidrSubnetFunc = function.New(&function.Spec{
	Params: []function.Parameter{
		{Name: "prefix", Type: cty.String}, {Name: "newbits", Type: cty.Number}, {Name: "netnum", Type: cty.Number},
	},
	Type: function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := prefix(args[0])
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		bits, err := extraBits(p, args[1], 0)
		if err != nil {
			return cty.NilVal, function.NewArgError(1, err)
		}
		n, accuracy := args[2].AsBigFloat().Int(nil)
		if n == nil || accuracy != big.Exact || n.Sign() < 0 || n.BitLen() > bits-p.Bits() {
			return cty.NilVal, function.NewArgErrorf(2, "%s has no subnet of that number", p)
		}
		start := offset(p.Masked().Addr(), new(big.Int).Lsh(n, uint(p.Addr().BitLen()-bits)))
		return cty.StringVal(netip.PrefixFrom(start, bits).String()), nil
	},
})

var cidrSubnetsFunc = function.New(&function.Spec{
	Params:   []function.Parameter{{Name: "prefix", Type: cty.String}},
	VarParam: &function.Parameter{Name: "newbits", Type: cty.Number},
	Type:     function.StaticReturnType(cty.List(cty.String)),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		p, err := prefix(args[0])
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		p = p.Masked()
		length := p.Addr().BitLen()
		next := new(big.Int) // offset of the first free address
		size := new(big.Int).Lsh(big.NewInt(1), uint(length-p.Bits()))
		var out []cty.Value
		for i, a := range args[1:] {
			bits, err := extraBits(p, a, 1)
			if err != nil {
				return cty.NilVal, function.NewArgError(i+1, err)
			}
			// A subnet begins at a multiple of its size.
			step := new(big.Int).Lsh(big.NewInt(1), uint(length-bits))
			next.Add(next, new(big.Int).Sub(step, big.NewInt(1))).Div(next, step).Mul(next, step)
			if next.Cmp(size) >= 0 {
				return cty.NilVal, function.NewArgErrorf(i+1, "%s has no room left for a subnet of /%d", p, bits)
			}
			out = append(out, cty.StringVal(netip.PrefixFrom(offset(p.Addr(), next), bits).String()))
			next.Add(next, step)
		}
		if out == nil {
			return cty.ListValEmpty(cty.String), nil
		}
		return cty.ListVal(out), nil
	},
})

func prefix(v cty.Value) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(v.AsString())
	if err != nil {
		return p, errors.New("needs an address prefix such as 10.0.0.0/8")
	}
	return p, nil
}

// extraBits is the length of a subnet that is longer than p by v bits.
func extraBits(p netip.Prefix, v cty.Value, least int64) (int, error) {
	n, err := whole(v, least, math.MaxInt16)
	if err != nil {
		return 0, err
	}
	bits := p.Bits() + int(n.(int64))
	if bits > p.Addr().BitLen() {
		return 0, fmt.Errorf("%s cannot be extended by %d bits", p, n)
	}
	return bits, nil
}

// offset is the address n places after a.
func offset(a netip.Addr, n *big.Int) netip.Addr {
	sum := new(big.Int).Add(new(big.Int).SetBytes(a.AsSlice()), n)
	b := make([]byte, a.BitLen()/8)
	sum.FillBytes(b)
	out, _ := netip.AddrFromSlice(b)
	return out
}
