package apiclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// TLSConfig is how to speak TLS. The zero value trusts the system's
// authorities.
type TLSConfig struct {
	// CACert is a file of authorities, CAPath a folder of them; the file wins.
	CACert string
	CAPath string
	// ClientCert and ClientKey go together.
	ClientCert string
	ClientKey  string
	// ServerName is the name to ask for and verify instead of the host.
	ServerName string
	SkipVerify bool
}

// FromEnv reads the configuration from environment variables by way of getenv
// (os.Getenv, in a test something else).
func FromEnv(getenv func(string) string) Config {
	skip, _ := strconv.ParseBool(getenv("NOMAD_SKIP_VERIFY"))
	return Config{
		Address:   getenv("NOMAD_ADDR"),
		Region:    getenv("NOMAD_REGION"),
		Namespace: getenv("NOMAD_NAMESPACE"),
		Token:     getenv("NOMAD_TOKEN"),
		HTTPAuth:  getenv("NOMAD_HTTP_AUTH"),
		TLS: TLSConfig{
			CACert:     getenv("NOMAD_CACERT"),
			CAPath:     getenv("NOMAD_CAPATH"),
			ClientCert: getenv("NOMAD_CLIENT_CERT"),
			ClientKey:  getenv("NOMAD_CLIENT_KEY"),
			ServerName: getenv("NOMAD_TLS_SERVER_NAME"),
			SkipVerify: skip,
		},
	}
}

func (t TLSConfig) load() (*tls.Config, error) {
	out := &tls.Config{
		MinVersion:         tls.VersionTLS12,
		ServerName:         t.ServerName,
		InsecureSkipVerify: t.SkipVerify, //nolint:gosec // the caller asked for it
	}
	if (t.ClientCert == "") != (t.ClientKey == "") {
		return nil, errors.New("Both client cert and client key must be provided") //nolint:staticcheck // scripts search for this text
	}
	if t.ClientCert != "" {
		cert, err := tls.LoadX509KeyPair(t.ClientCert, t.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("load the client certificate: %w", err)
		}
		out.Certificates = []tls.Certificate{cert}
	}
	var files []string
	switch {
	case t.CACert != "":
		files = []string{t.CACert}
	case t.CAPath != "":
		entries, err := os.ReadDir(t.CAPath)
		if err != nil {
			return nil, fmt.Errorf("read the certificate authorities: %w", err)
		}
		for _, e := range entries {
			if !e.IsDir() {
				files = append(files, filepath.Join(t.CAPath, e.Name()))
			}
		}
	}
	if len(files) == 0 {
		return out, nil
	}
	out.RootCAs = x509.NewCertPool()
	for _, f := range files {
		pem, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("read the certificate authority: %w", err)
		}
		if !out.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read the certificate authority: no certificate in %s", f)
		}
	}
	return out, nil
}
