package jobspec

import (
	"crypto/md5" //nolint:gosec // a function of the language
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // a function of the language
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"golang.org/x/crypto/bcrypt"
)

// stringFunc makes a function of strings.
func stringFunc(params []string, f func(args []string) (string, error)) function.Function {
	spec := &function.Spec{Type: function.StaticReturnType(cty.String)}
	for _, p := range params {
		spec.Params = append(spec.Params, function.Parameter{Name: p, Type: cty.String})
	}
	spec.Impl = func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		strs := make([]string, len(args))
		for i, a := range args {
			strs[i] = a.AsString()
		}
		s, err := f(strs)
		if err != nil {
			return cty.UnknownVal(cty.String), err
		}
		return cty.StringVal(s), nil
	}
	return function.New(spec)
}

// oneString makes a function of one string that cannot fail.
func oneString(f func(string) string) function.Function {
	return stringFunc([]string{"str"}, func(args []string) (string, error) { return f(args[0]), nil })
}

var (
	base64EncodeFunc = oneString(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) })
	base64DecodeFunc = stringFunc([]string{"str"}, func(args []string) (string, error) {
		b, err := base64.StdEncoding.DecodeString(args[0])
		if err != nil {
			return "", fmt.Errorf("not base64: %w", err)
		}
		if !utf8.Valid(b) {
			return "", errors.New("the decoded bytes are not text")
		}
		return string(b), nil
	})
	basenameFunc  = oneString(filepath.Base)
	dirnameFunc   = oneString(filepath.Dir)
	urlEncodeFunc = oneString(url.QueryEscape)

	md5Func    = oneString(func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) })  //nolint:gosec
	sha1Func   = oneString(func(s string) string { h := sha1.Sum([]byte(s)); return hex.EncodeToString(h[:]) }) //nolint:gosec
	sha256Func = oneString(func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) })
	sha512Func = oneString(func(s string) string { h := sha512.Sum512([]byte(s)); return hex.EncodeToString(h[:]) })

	uuidV4Func = stringFunc(nil, func([]string) (string, error) {
		id, err := uuid.NewRandom()
		return id.String(), err
	})
	uuidV5Func = stringFunc([]string{"namespace", "name"}, func(args []string) (string, error) {
		known := map[string]uuid.UUID{"dns": uuid.NameSpaceDNS, "url": uuid.NameSpaceURL, "oid": uuid.NameSpaceOID, "x500": uuid.NameSpaceX500}
		space, ok := known[args[0]]
		if !ok {
			var err error
			if space, err = uuid.Parse(args[0]); err != nil {
				return "", errors.New("the namespace must be dns, url, oid, x500 or a UUID")
			}
		}
		return uuid.NewSHA1(space, []byte(args[1])).String(), nil
	})

	rsaDecryptFunc = stringFunc([]string{"ciphertext", "private_key"}, func(args []string) (string, error) {
		b, err := base64.StdEncoding.DecodeString(args[0])
		if err != nil {
			return "", fmt.Errorf("the ciphertext is not base64: %w", err)
		}
		key, err := rsaKey(args[1])
		if err != nil {
			return "", err
		}
		//lint:ignore SA1019 rsadecrypt is defined by this padding, and decrypts only for whoever wrote the file
		out, err := rsa.DecryptPKCS1v15(rand.Reader, key, b)
		if err != nil {
			return "", fmt.Errorf("decrypt: %w", err)
		}
		return string(out), nil
	})
)

// rsaKey reads a private key in PEM, PKCS #1 or PKCS #8.
func rsaKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("the private key is not PEM")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read private key: %w", err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the private key is not an RSA key")
	}
	return key, nil
}

// maxBcryptCost keeps a hash below about a second.
const maxBcryptCost = 14

var bcryptFunc = function.New(&function.Spec{
	Params:   []function.Parameter{{Name: "str", Type: cty.String}},
	VarParam: &function.Parameter{Name: "cost", Type: cty.Number},
	Type:     function.StaticReturnType(cty.String),
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		cost := int64(10)
		if len(args) > 2 {
			return cty.NilVal, errors.New("takes a string and a cost at most")
		}
		if len(args) == 2 {
			n, err := whole(args[1], bcryptLeast, maxBcryptCost)
			if err != nil {
				return cty.NilVal, function.NewArgErrorf(1, "the cost %v", err)
			}
			cost = n.(int64)
		}
		h, err := bcrypt.GenerateFromPassword([]byte(args[0].AsString()), int(cost))
		if err != nil {
			return cty.NilVal, err
		}
		return cty.StringVal(string(h)), nil
	},
})

const bcryptLeast = int64(bcrypt.MinCost)
