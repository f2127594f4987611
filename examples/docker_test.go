package examples

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestDocker builds images with a real Docker engine and runs them: one with
// the project inside, and one for all projects, used as WSO2's is.
//
// The engine is one of the test's own: no network but the machine's, everything
// in a folder that is removed at the end.
func TestDocker(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("CI has to run this as root: a Docker engine is to be started")
		}
		t.Skip("only root can start a Docker engine; CI does")
	}
	if _, err := exec.LookPath("dockerd"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("CI has to install docker.io: ", err)
		}
		t.Skip("dockerd is not installed; CI has it")
	}
	dir := t.TempDir()
	must(t, dir, "micro-gw", "init", "PetStore", "-a", write(t, dir, "petstore.yaml", openPets))
	// vfs works everywhere, and takes a second for each line of a Dockerfile.
	engine, why := dockerEngine(t, "overlay2")
	if engine == nil {
		t.Log("without overlay2: ", why)
		engine, why = dockerEngine(t, "vfs")
	}
	if engine == nil {
		// There are sandboxes in which no container can be started. That the
		// image can be built is still worth knowing.
		t.Log("the Docker engine does not start here, so Buildah builds the image and nothing runs it: ", why)
		buildah(t, dir)
		return
	}

	upstream := upstream(t)
	out := must(t, dir, "micro-gw", "build", "PetStore", "--docker", "--default-endpoint", upstream)
	if !strings.Contains(out, "image petstore:v1\nsha256:") {
		t.Fatal(out)
	}
	if out, err := engine.docker("run", "--rm", "--network", "host", "petstore:v1", "version"); engineFailed(err) {
		t.Log("the Docker engine built the image, and cannot start any container here: ", out)
		return
	} else if err != nil || !strings.HasPrefix(out, "runtime ") {
		t.Fatalf("%v: %s", err, out)
	}
	t.Run("with the project", func(t *testing.T) {
		c := engine.start(t, nil, "petstore:v1", "-e", "b7a.log.level=DEBUG")
		c.calls(t)
		// Nothing but the program is there, and it can tell how it is.
		if got := engine.must(t, "exec", c.name, "/runtime", "health", "--ready"); !strings.Contains(got, `"status": "ready"`) {
			t.Error(got)
		}
		c.stop(t)
	})

	t.Run("as WSO2's", func(t *testing.T) {
		if out := must(t, dir, "micro-gw", "image"); !strings.HasPrefix(out, "image micro-gw:latest\nsha256:") {
			t.Fatal(out)
		}
		conf := write(t, dir, "micro-gw.conf", "[listenerConfig]\nmaxUriLength = 1000\n")
		// WSO2's articles have the project's name in lower case.
		c := engine.start(t, []string{"-v", filepath.Join(dir, "PetStore/target") + ":/home/exec", "-v", conf + ":/home/ballerina/conf/micro-gw.conf", "-e", "project=petstore"}, "micro-gw")
		c.calls(t)
		if got := call(t, "GET", c.url+"/pets/v1/pets?"+strings.Repeat("x", 1000), "", ""); got.status != 414 {
			t.Errorf("the mounted conf does not count: got %d", got.status)
		}
		c.stop(t)
		if log := engine.must(t, "logs", c.name); !strings.Contains(log, "conf=/home/ballerina/conf/micro-gw.conf") || !strings.Contains(log, "path=/home/exec/PetStore.mgw") {
			t.Error(log)
		}
		// What is not there is said.
		if out, err := engine.docker("run", "--rm", "--network", "none", "-v", filepath.Join(dir, "PetStore/target")+":/home/exec", "-e", "project=other", "micro-gw"); err == nil || !strings.Contains(out, "/home/exec/other.mgw: no such file, and env project names it; there is PetStore.mgw") {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// openPets is an API that everybody may call and one that nobody may.
const openPets = `openapi: 3.0.3
info: {title: Pets, version: v1}
x-wso2-basePath: /pets/{version}
paths:
  /pets:
    get:
      x-wso2-disable-security: true
      responses: {"200": {description: OK}}
    post:
      responses: {"200": {description: OK}}
`

// upstream answers everything with "[]".
func upstream(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, "[]")
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// engine is a Docker engine, used through the program docker.
type engine struct{ host string }

// dockerEngine starts an engine for this test. It returns none, and why, if it
// ends before it answers.
func dockerEngine(t *testing.T, driver string) (_ *engine, why string) {
	t.Helper()
	// Of a short name: the path of a socket may have 107 bytes.
	dir, err := os.MkdirTemp("", "gwd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The engine leaves the machine's network mounted there.
		_ = exec.Command("umount", filepath.Join(dir, "e/netns/default")).Run()
		_ = os.RemoveAll(dir)
	})
	e := &engine{"unix://" + filepath.Join(dir, "s")}
	// The programs of the tests and docker itself find it by this.
	t.Setenv("DOCKER_HOST", e.host)
	t.Setenv("DOCKER_BUILDKIT", "0") // needs a plug-in that Debian has not
	t.Setenv("DOCKER_CONFIG", filepath.Join(dir, "c"))
	d := exec.Command("dockerd", "--storage-driver="+driver, "--bridge=none", "--iptables=false",
		"--data-root", filepath.Join(dir, "d"), "--exec-root", filepath.Join(dir, "e"), "-H", e.host, "--pidfile", filepath.Join(dir, "p"))
	var log bytes.Buffer
	d.Stdout, d.Stderr = &log, &log
	if err := d.Start(); err != nil {
		return nil, err.Error()
	}
	ended := make(chan error, 1)
	go func() { ended <- d.Wait() }()
	stop := sync.OnceFunc(func() {
		_ = d.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = d.Process.Kill()
			<-ended
		}
	})
	t.Cleanup(stop)
	for deadline := time.Now().Add(patience); ; {
		// An engine that has no storage answers for a moment before it ends.
		if _, err := e.docker("info"); err == nil {
			break
		}
		select {
		case err := <-ended:
			ended <- err // for stop
			return nil, fmt.Sprintf("%v\n%s", err, log.String())
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			stop()
			return nil, "it does not answer:\n" + log.String()
		}
	}
	// There are sandboxes in which it starts and cannot do its work. What cannot
	// build an image of one file says nothing of ours.
	write(t, dir, "probe/file", "x")
	write(t, dir, "probe/Dockerfile", "FROM scratch\nCOPY file /file\n")
	if out, err := e.docker("build", "-q", filepath.Join(dir, "probe")); err != nil {
		stop()
		return nil, "it cannot build an image of one file: " + out
	}
	return e, ""
}

// docker runs the program and returns all that it prints.
func (e *engine) docker(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// engineFailed says whether it was the engine that failed: docker's exit code is
// another if the program in the container fails, or cannot be started.
func engineFailed(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit) && exit.ExitCode() == 125
}

func (e *engine) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := e.docker(args...)
	if err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// instance is a container that serves.
type instance struct {
	*engine
	name, url string
}

// start runs an image as an operator would who gives it as little as possible,
// with ports that are free.
func (e *engine) start(t *testing.T, options []string, image string, args ...string) *instance {
	t.Helper()
	http, https, admin := port(t), port(t), port(t)
	c := &instance{e, "gw" + http, "http://127.0.0.1:" + http}
	run := append([]string{"run", "--detach", "--name", c.name, "--network", "host", "--read-only", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges", "--memory", "64m",
		"-e", "listenerConfig_httpPort=" + http, "-e", "listenerConfig_httpsPort=" + https, "-e", "admin_address=127.0.0.1:" + admin}, options...)
	e.must(t, append(append(run, image), args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := e.docker("logs", c.name)
			t.Log(log)
		}
		_, _ = e.docker("rm", "--force", c.name)
	})
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", "127.0.0.1:"+http); err == nil {
			_ = conn.Close()
			return c
		}
		if state, _ := e.docker("inspect", "--format", "{{.State.Status}}", c.name); state == "exited" || time.Now().After(deadline) {
			t.Fatalf("the container does not listen; it is %s", state)
		}
	}
}

// calls expects that the gateway serves, and trusts nobody: images are not in
// development mode.
func (c *instance) calls(t *testing.T) {
	t.Helper()
	if got := call(t, "GET", c.url+"/pets/v1/pets", "", ""); got.status != 200 || got.body != "[]" {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := call(t, "POST", c.url+"/pets/v1/pets", "x.y.z", ""); got.status != 401 {
		t.Errorf("got %d %s", got.status, got.body)
	}
}

// stop expects that the gateway ends by itself when it is asked to.
func (c *instance) stop(t *testing.T) {
	t.Helper()
	c.must(t, "stop", "--time", strconv.Itoa(int(patience.Seconds())), c.name)
	if got := c.must(t, "inspect", "--format", "{{.State.ExitCode}} {{.State.OOMKilled}}", c.name); got != "0 false" {
		t.Errorf("exit code and out of memory: %s", got)
	}
	if log := c.must(t, "logs", c.name); !strings.Contains(log, `msg="gateway stopped"`) {
		t.Error(log)
	}
}

// buildah builds the image without an engine.
func buildah(t *testing.T, dir string) {
	t.Helper()
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Fatal("neither a Docker engine nor buildah: ", err)
	}
	store := t.TempDir()
	bud := func(tag, folder string) (string, error) {
		out, err := exec.Command("buildah", "--root", filepath.Join(store, "r"), "--runroot", filepath.Join(store, "rr"), "--storage-driver", "vfs",
			"bud", "--isolation", "chroot", "--format", "docker", "-t", tag, folder).CombinedOutput()
		return string(out), err
	}
	write(t, store, "probe/file", "x")
	write(t, store, "probe/Dockerfile", "FROM scratch\nCOPY file /file\n")
	if out, err := bud("probe:v1", filepath.Join(store, "probe")); err != nil {
		t.Skip("no image of even one file can be built on this machine, by Docker or Buildah: ", out)
	}
	write(t, dir, "PetStore/conf/deployment-config.toml", "[docker.dockerConfig]\nenable = true\nbuildImage = false\n")
	must(t, dir, "micro-gw", "build", "PetStore", "--default-endpoint", "http://127.0.0.1:1")
	if out, err := bud("petstore:v1", filepath.Join(dir, "PetStore/target/docker")); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// TestImageFolder writes what the image of the runtime is built from, for those
// who build images in another way.
func TestImageFolder(t *testing.T) {
	dir := t.TempDir()
	for range 2 { // the second time it is made anew
		must(t, dir, "micro-gw", "image", "-o", "img")
	}
	for name, mode := range map[string]os.FileMode{"Dockerfile": 0o644, "ca-certificates.crt": 0o644, "runtime": 0o755} {
		if info, err := os.Stat(filepath.Join(dir, "img", name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	write(t, dir, "mine/notes", "keep")
	c := exec.Command(filepath.Join(binaries(t), "micro-gw"), "image", "-o", "mine")
	c.Dir = dir
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "mine exists and was not made by this command") {
		t.Errorf("%v: %s", err, out)
	}
	// Another program is not put into an image in the runtime's place.
	c = exec.Command(filepath.Join(binaries(t), "micro-gw"), "image", "-o", "img2", "--runtime-binary", filepath.Join(binaries(t), "micro-gw"))
	c.Dir = dir
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "it is not the runtime of micro-gw") {
		t.Errorf("%v: %s", err, out)
	}
	// An engine that is not there is told, and what there is for another.
	must(t, dir, "micro-gw", "init", "pets", "-a", write(t, dir, "pets.yaml", openPets))
	c = exec.Command(filepath.Join(binaries(t), "micro-gw"), "build", "pets", "--docker", "--default-endpoint", "http://127.0.0.1:1")
	c.Dir, c.Env = dir, append(os.Environ(), "PATH=")
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "build: docker version: there is no program called docker in PATH\n\thint: with buildImage = false, or image -o, others make the image\n") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "pets/target/docker/Dockerfile")); err != nil {
		t.Error(err)
	}
}

// TestDockerPush looks at what docker is told, with a program in its place that
// writes it down: where the image goes, and that the password is in no argument
// and in no file that stays.
func TestDockerPush(t *testing.T) {
	dir := t.TempDir()
	must(t, dir, "micro-gw", "init", "pets", "-a", write(t, dir, "pets.yaml", openPets))
	write(t, dir, "pets/conf/deployment-config.toml", `
[docker.dockerConfig]
enable = true
registry = "registry.example.com:5000"
name = "team/pets"
tag = "1.4"
push = true
username = "robot"
password = "$env{PUSH_PASSWORD}"
`)
	fake := write(t, dir, "bin/docker", `#!/bin/sh
echo "$@" >> `+dir+`/said
case "$1" in
version) echo `+runtime.GOARCH+` ;;
build) echo sha256:0123 ;;
push) cp "$DOCKER_CONFIG/config.json" `+dir+`/config; echo "$DOCKER_CONFIG" > `+dir+`/where ;;
esac
`)
	if err := os.Chmod(fake, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("PUSH_PASSWORD", "secret")
	must(t, dir, "micro-gw", "build", "pets", "--default-endpoint", "http://127.0.0.1:1")
	said, err := os.ReadFile(filepath.Join(dir, "said"))
	if want := "version --format {{.Server.Arch}}\nbuild --quiet --tag registry.example.com:5000/team/pets:1.4 pets/target/docker\npush --quiet registry.example.com:5000/team/pets:1.4\n"; err != nil || string(said) != want {
		t.Errorf("%v: got %s, want %s", err, said, want)
	}
	var config struct {
		Auths map[string]struct{ Auth string }
	}
	data, err := os.ReadFile(filepath.Join(dir, "config"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &config); err != nil {
		t.Fatal(err)
	}
	if got, _ := base64.StdEncoding.DecodeString(config.Auths["registry.example.com:5000"].Auth); string(got) != "robot:secret" {
		t.Errorf("credentials %s", data)
	}
	where, err := os.ReadFile(filepath.Join(dir, "where"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(strings.TrimSpace(string(where))); !os.IsNotExist(err) {
		t.Errorf("the credentials are still at %s: %v", where, err)
	}
}
