package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRoutes(t *testing.T) {
	t.Setenv("NOMAD_SHORT_ALLOC_ID", "6fd3ad3a")
	handler := accessLog(routes())
	for _, test := range []struct {
		path, want string
		status     int
	}{
		{"/", "Hello from WebAssembly, allocation 6fd3ad3a.\n", http.StatusOK},
		{"/healthz", "ok\n", http.StatusOK},
		{"/env", "NOMAD_SHORT_ALLOC_ID=6fd3ad3a\n", http.StatusOK},
		{"/other", "not found", http.StatusNotFound},
	} {
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, test.path, nil))
		if recorder.Code != test.status || !strings.Contains(recorder.Body.String(), test.want) {
			t.Errorf("%s: %d %q", test.path, recorder.Code, recorder.Body)
		}
	}
}

func TestListenWithoutSocket(t *testing.T) {
	for _, env := range []struct{ count, names, want string }{
		{"", "", "no listening socket was handed over"},
		{"0", "", "no listening socket was handed over"},
		{"1", "admin", `no listening socket is called "http"`},
		{"1", "admin:http", `no listening socket is called "http"`},
	} {
		t.Setenv("LISTEN_FDS", env.count)
		t.Setenv("LISTEN_FDNAMES", env.names)
		if _, err := listen("http"); err == nil || !strings.Contains(err.Error(), env.want) {
			t.Errorf("%q %q: %v", env.count, env.names, err)
		}
	}
}
