package examples

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestRun is `micro-gw run`: a served project in one command, and a change of
// the definition that takes effect without losing a request. A mistake in it is
// said, and what was served goes on.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	must(t, dir, "micro-gw", "init", "petstore")
	gwPort := port(t)
	run := start(t, dir, "micro-gw", "run", "petstore", "--port", gwPort,
		"-e", "listenerConfig.httpsPort=0", "-e", "admin.address=127.0.0.1:0").listening(gwPort)
	base := "http://127.0.0.1:" + gwPort + "/petstore/v1"
	run.await("a call to paste", func() bool { return strings.Contains(run.output(), "curl") })
	tok := must(t, dir, "micro-gw", "token", "petstore", "--scope", "read:pets")
	if got := call(t, "GET", base+"/pet/42", tok, ""); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.body)
	}

	// A client that never stops calling.
	var lost, served atomic.Int64
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			r, _ := http.NewRequest("GET", base+"/pet/42", nil)
			r.Header.Set("Authorization", "Bearer "+tok)
			resp, err := http.DefaultClient.Do(r)
			if err != nil || resp.StatusCode != 200 {
				lost.Add(1)
				t.Logf("lost: %v %v", resp, err)
			}
			if err == nil {
				resp.Body.Close()
			}
			served.Add(1)
		}
	}()

	file := filepath.Join(dir, "petstore", "api_definitions", "petstore.yaml")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Dir(file), "petstore.yaml", strings.Replace(string(before), "\npaths:\n", `
paths:
  /new:
    get:
      x-wso2-disable-security: true
      responses:
        "200": {description: ok, content: {application/json: {example: {"new": true}}}}
`, 1))
	run.await("the new operation", func() bool { return call(t, "GET", base+"/new", "", "").status == 200 })

	write(t, filepath.Dir(file), "petstore.yaml", strings.Replace(string(before), "x-wso2-basePath", "x-wso2-basePaht", 1))
	run.await("the mistake said", func() bool { return strings.Contains(run.output(), "x-wso2-basePaht") })
	if got := call(t, "GET", base+"/new", "", ""); got.status != 200 {
		t.Errorf("after a failed build: got %d %s", got.status, got.body)
	}
	close(stop)
	<-stopped
	if lost.Load() > 0 || served.Load() == 0 {
		t.Errorf("%d of %d requests were lost", lost.Load(), served.Load())
	}
	run.stop()
}
