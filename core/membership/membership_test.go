package membership

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// memberlist ends these some time after Shutdown returned.
		goleak.IgnoreTopFunction("github.com/hashicorp/memberlist.(*Memberlist).pushPullTrigger"),
		goleak.IgnoreTopFunction("github.com/hashicorp/memberlist.(*Memberlist).triggerFunc"),
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"), // waits for an answer that times out
		goleak.IgnoreTopFunction("time.Sleep"),
	)
}

func start(t *testing.T, name string, key []byte, events func(Event)) *Pool {
	t.Helper()
	p, err := Start(Config{
		Name: name, BindAddr: "127.0.0.1", Fast: true, Key: key, Events: events,
		Tags: map[string]string{"region": "global", "name": name},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func status(p *Pool) map[string]string {
	out := map[string]string{}
	for _, m := range p.Members() {
		out[m.Name] = m.Status
	}
	return out
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}

func TestJoinTagsLeaveAndFail(t *testing.T) {
	key := []byte("0123456789abcdef")
	events := make(chan Event, 100)
	a := start(t, "a.global", key, func(e Event) { events <- e })
	b := start(t, "b.global", key, nil)
	c := start(t, "c.global", key, nil)
	for _, p := range []*Pool{b, c} {
		if n, err := p.Join([]string{a.Addr()}); n != 1 || err != nil {
			t.Fatalf("joined %d, error %v", n, err)
		}
	}
	eventually(t, "all to know all", func() bool { return len(a.Members()) == 3 && len(b.Members()) == 3 && len(c.Members()) == 3 })
	if err := b.SetTags(map[string]string{"region": "eu"}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new tag", func() bool {
		i := slices.IndexFunc(a.Members(), func(m Member) bool { return m.Name == "b.global" })
		return a.Members()[i].Tag("region") == "eu"
	})
	if err := b.Leave(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b to have left", func() bool { return status(a)["b.global"] == Left && status(c)["b.global"] == Left })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "c to have failed", func() bool { return status(a)["c.global"] == Failed })
	if !a.Forget("c.global") || a.Forget("a.global") || a.Forget("nobody") {
		t.Error("the wrong members can be forgotten")
	}
	seen := map[string]bool{}
	for len(events) > 0 {
		e := <-events
		seen[e.Member.Name+" "+e.Member.Status] = true
	}
	for _, want := range []string{"b.global alive", "c.global alive", "b.global left", "c.global failed"} {
		if !seen[want] {
			t.Errorf("no event %q", want)
		}
	}
}

func TestStrangersWithAnotherKeyStayOut(t *testing.T) {
	a := start(t, "a.global", []byte("0123456789abcdef"), nil)
	b := start(t, "b.global", []byte("fedcba9876543210"), nil)
	if n, err := b.Join([]string{a.Addr()}); n != 0 || err == nil {
		t.Errorf("joined %d", n)
	}
	if len(a.Members()) != 1 {
		t.Error("a stranger is a member")
	}
	if CheckKey([]byte("short")) == nil || CheckKey(make([]byte, 32)) != nil {
		t.Error("lengths of keys are not checked")
	}
}

func TestTags(t *testing.T) {
	tags := map[string]string{"a": "1", "empty": "", "": "x"}
	got := decodeTags(encodeTags(tags))
	if fmt.Sprint(got) != fmt.Sprint(tags) {
		t.Errorf("got %v", got)
	}
	big := map[string]string{"x": string(make([]byte, 600))}
	if _, err := Start(Config{Name: "x", BindAddr: "127.0.0.1", Tags: big}); err == nil {
		t.Error("tags that do not fit are taken")
	}
}
