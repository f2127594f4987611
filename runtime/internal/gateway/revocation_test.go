package gateway_test

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/microgw/microgw/runtime/internal/conf"
	"github.com/microgw/microgw/runtime/internal/gateway"
)

// A store that knows one token to be revoked. Tests with real ones, and with
// brokers, are in revocation/realtest.
func TestRevoked(t *testing.T) {
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/v3/kv/range":
			io.WriteString(w, `{"header":{"revision":"7"},"kvs":[{"key":"`+base64.StdEncoding.EncodeToString([]byte("1"))+`"}]}`)
		case "/v3/watch":
			io.WriteString(w, `{"result":{"header":{"revision":"7"},"created":true}}`+"\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		default:
			http.Error(w, `{"message":"authentication is not enabled"}`, 400)
		}
	}))
	t.Cleanup(func() { store.CloseClientConnections(); store.Close() })
	path := filepath.Join(t.TempDir(), "pets.mgw")
	dev := newSigner(t)
	put(t, path, keyProject(echo(t, "up").URL, dev.JWK))
	const p = "tokenRevocationConfig."
	g := start(t, gateway.Options{Artifact: path, Conf: conf.Options{Set: local(p+"persistent.enablePersistentStorageRetrieval=true",
		p+"persistent.hostname="+store.URL, p+"persistent.username=root", p+"persistent.password=root",
		// Nobody is there.
		p+"realtime.enableRealtimeMessageRetrieval=true", p+"realtime.jmsConnectionProviderUrl=stomp://127.0.0.1:1")}})
	g.untilServed("http://"+g.at.Admin+"/ready", `"status": "ready"[^$]*STOMP on 127.0.0.1:1 \(realtime\): [^$]*"entries": 1,[^$]*"kind": "realtime"[^$]*"connected": false[^$]*"kind": "persistent"[^$]*"connected": true`)
	g.expect("http://"+g.at.HTTP+"/v1/pet", 401, `^{"fault":{"code":900901, "message":"Invalid Credentials", "description":"Invalid Credentials. Make sure you have given the correct access token"}}$`,
		"Authorization", "Bearer "+dev.token(t, ""))
	// The name is a name of API keys as well.
	g.expect("http://"+g.at.HTTP+"/v1/header", 401, notGood, "api_key", dev.apiKey(t, "", map[string]any{"jti": "1"}))
	g.expect("http://"+g.at.HTTP+"/v1/header", 200, "up", "api_key", dev.apiKey(t, "", map[string]any{"jti": "2"}))
	g.untilLogged(`level=INFO msg="\[EtcdUtil\] \[-\] One time ETCD revoked token retriever task initiated"`)
}

// A URL that no broker has is refused where it stands.
func TestRevocationRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pets.mgw")
	put(t, path, project("pets", "http://127.0.0.1:1", nil))
	const p = "tokenRevocationConfig.realtime."
	err := gateway.Run(context.Background(), gateway.Options{Artifact: path, Stderr: io.Discard, Conf: conf.Options{
		Set: local(p+"enableRealtimeMessageRetrieval=true", p+"jmsConnectionProviderUrl=mqtt://me:secret@b:1883")}})
	if err == nil || !strings.Contains(err.Error(), `-e: `+p+`jmsConnectionProviderUrl: the scheme "mqtt" is none of `) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
