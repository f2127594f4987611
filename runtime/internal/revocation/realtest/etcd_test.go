package realtest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// persistent is the conf of WSO2, with the user that it ships.
func persistent(url string, more ...string) []string {
	const p = "tokenRevocationConfig.persistent."
	return append([]string{p + "enablePersistentStorageRetrieval=true", p + "useDefault=true", p + "hostname=" + url,
		p + "username=root", p + "password=root"}, more...)
}

// store is an operator's way into etcd.
type store struct {
	t     *testing.T
	url   string
	token string
}

func (s *store) call(path string, in map[string]any) map[string]any {
	s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := http.NewRequest("POST", s.url+"/v3"+path, bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if s.token != "" {
		r.Header.Set("Authorization", s.token)
	}
	resp, err := trusting().Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	out := map[string]any{}
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("%d %s", resp.StatusCode, data)
	}
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		s.t.Fatalf("etcd%s: %v", path, err)
	}
	return out
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// put puts a key, with a lease unless ttl is 0. It returns the revision.
func (s *store) put(key string, ttl int) string {
	s.t.Helper()
	in := map[string]any{"key": b64(key), "value": b64("revoked")}
	if ttl > 0 {
		in["lease"] = s.call("/lease/grant", map[string]any{"TTL": ttl})["ID"]
	}
	return s.call("/kv/put", in)["header"].(map[string]any)["revision"].(string)
}

// What is in etcd at the start and what comes later, in both ways of writing the
// folder, with leases and without; and after a restart.
func TestEtcd(t *testing.T) {
	etcd.use(t)
	s := &store{t: t, url: "http://" + etcd.address("client")}
	s.put("/jti/secret-leased", 600)
	s.put("jti/secret-endless", 0)
	s.put("other/secret-noise", 0)
	url := s.url + "/v2/keys/jti/"
	a, b := start(t, persistent(url)...), start(t, persistent(url)...)
	a.untilLogged(`level=INFO msg="\[EtcdUtil\] \[-\] One time ETCD revoked token retriever task initiated"`)
	check := func(g *running) {
		t.Helper()
		for jti, want := range map[string]int{"secret-leased": 401, "secret-endless": 401, "secret-noise": 200, "secret-unknown": 200} {
			// A start waits for etcd, though not for ever.
			until(t, fmt.Sprintf("%s is %d", jti, want), func() bool { return g.status(token(t, jti)) == want })
		}
	}
	check(a)
	check(b)
	for _, g := range []*running{a, b} {
		g.untilReady(`"status": "ready"[^$]*"kind": "persistent"[^$]*"connected": true`)
	}
	var took []time.Duration
	for i := range 40 {
		jti := fmt.Sprintf("secret-%d", i)
		took = append(took, revokes(t, jti, jti, func() { s.put([]string{"/jti/", "jti/"}[i%2]+jti, i%3*600) }, a, b))
	}
	percentile99(t, took)
	revokes(t, "a short lease", "secret-short", func() { s.put("jti/secret-short", 2) }, a)
	short := token(t, "secret-short")
	until(t, "the end of a lease", func() bool { return a.status(short) == 200 })
	a.stop()
	check(start(t, persistent(url)...))

	// Without a folder keys count that are in none.
	s.put("secret-root", 600)
	root := start(t, persistent(s.url)...)
	until(t, "a key in no folder", func() bool { return root.status(token(t, "secret-root")) == 401 })
	if code := root.status(token(t, "secret-noise")); code != 200 {
		t.Errorf("a key in another folder: %d", code)
	}
}

// etcd is killed. What is known stays revoked, also in a gateway that starts
// without it and with a file; and what is put when it is back counts, whether or
// not it remembers what has happened in between.
func TestEtcdComesBack(t *testing.T) {
	etcd.use(t)
	s := &store{t: t, url: "http://" + etcd.address("client")}
	url := s.url + "/v2/keys/kill/"
	dir := t.TempDir()
	file := filepath.Join(dir, "revoked")
	set := persistent(url, "tokenRevocationConfig.persistent.snapshotPath="+file)
	s.put("kill/secret-first", 600)
	g := start(t, set...)
	g.untilReady(`"connected": true`)
	revokes(t, "watched", "secret-watched", func() { s.put("kill/secret-watched", 600) }, g)
	g.untilLogged("it is known when each of them ends") // and the file is there
	g.stop()                                            // which puts into it what came since
	data, err := os.ReadFile(file)
	if info, err2 := os.Stat(file); err != nil || err2 != nil || info.Mode().Perm() != 0o600 || strings.Count(string(data), "secret-") != 2 || !strings.HasSuffix(string(data), "\nend 2\n") {
		t.Errorf("%v %v %s", err, err2, data)
	}
	if all, _ := os.ReadDir(dir); len(all) != 1 {
		t.Errorf("left behind: %v", all)
	}
	running := start(t, set...)
	running.untilReady(`"connected": true`)

	etcd.kill()
	running.untilLogged(`level=WARN msg="\[TokenRevocationETCDUtil\] \[-\] connection to etcd is lost; what is known stays revoked"`)
	running.untilReady(`"status": "ready"[^$]*revoked tokens are not learnt from etcd http://[^$]*"connected": false`)
	alone := start(t, set...)
	bare := start(t, persistent(url)...)
	for _, g := range []*running_{{running, 401}, {alone, 401}, {bare, 200}} {
		for _, jti := range []string{"secret-first", "secret-watched"} {
			if code := g.status(token(t, jti)); code != g.want {
				t.Errorf("%s without etcd: %d, want %d", jti, code, g.want)
			}
		}
	}
	alone.untilReady(`; those of a file of \d+s ago are known[^$]*"snapshot_age_seconds": [0-9]`)

	etcd.restart(t)
	s.put("kill/secret-back", 600)
	s.call("/kv/compaction", map[string]any{"revision": s.put("kill/secret-last", 600)})
	for _, g := range []*running_{{running, 401}, {alone, 401}, {bare, 401}} {
		for _, jti := range []string{"secret-first", "secret-watched", "secret-back", "secret-last"} {
			until(t, jti+" after etcd is back", func() bool { return g.status(token(t, jti)) == 401 })
		}
		g.untilReady(`"connected": true`)
	}
	running.untilLogged(`level=INFO msg="\[TokenRevocationETCDUtil\] \[-\] (connection to etcd is restored|etcd has compacted its history)`)
}

type running_ struct {
	*running
	want int
}

// With a user that etcd insists on, and over TLS.
func TestEtcdWithTLSAndUser(t *testing.T) {
	etcdTLS.use(t)
	s := &store{t: t, url: "https://" + etcdTLS.address("client")}
	s.call("/auth/user/add", map[string]any{"name": "root", "password": "root"})
	s.call("/auth/user/grant", map[string]any{"user": "root", "role": "root"})
	// Somebody who may read one way of writing the folder, and no more.
	s.call("/auth/user/add", map[string]any{"name": "gw", "password": "secret-gw"})
	s.call("/auth/role/add", map[string]any{"name": "gw"})
	s.call("/auth/role/grant", map[string]any{"name": "gw", "perm": map[string]any{"permType": 0, "key": b64("/jti/"), "range_end": b64("/jti0")}})
	s.call("/auth/user/grant", map[string]any{"user": "gw", "role": "gw"})
	s.call("/auth/enable", map[string]any{})
	s.token = s.call("/auth/authenticate", map[string]any{"name": "root", "password": "root"})["token"].(string)
	s.put("/jti/secret-start", 600)
	url := s.url + "/v2/keys/jti/"
	const p = "tokenRevocationConfig.persistent."
	root := start(t, append(persistent(url), trust(t)...)...)
	few := start(t, append(persistent(url, p+"username=gw", p+"password=secret-gw"), trust(t)...)...)
	for _, g := range []*running{root, few} {
		until(t, "what was there", func() bool { return g.status(token(t, "secret-start")) == 401 })
		g.untilReady(`"connected": true`)
	}
	revokes(t, "watched", "secret-watched", func() { s.put("/jti/secret-watched", 600) }, root, few)
	start(t, append(persistent(url, p+"password=secret-wrong"), trust(t)...)...).untilReady(`revoked tokens are not learnt from etcd [^$]*authentication failed`)
	start(t, persistent(url)...).untilReady(`revoked tokens are not learnt from etcd [^$]*certificate signed by unknown authority`)
}
