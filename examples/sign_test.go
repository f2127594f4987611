package examples

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSigned is the way of a signed artifact from the build to a runtime that
// takes no other, with both programs.
func TestSigned(t *testing.T) {
	dir := t.TempDir()
	must(t, dir, "micro-gw", "init", "petstore")
	must(t, dir, "micro-gw", "keygen", "ours")
	must(t, dir, "micro-gw", "keygen", "theirs")
	const file = "petstore/target/petstore.mgw"
	refused := func(want string, args ...string) {
		t.Helper()
		c := exec.Command(filepath.Join(binaries(t), "runtime"), append([]string{"--artifact", file, "--check"}, args...)...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("runtime %s: %v, want %q in\n%s", strings.Join(args, " "), err, want, out)
		}
	}

	must(t, dir, "micro-gw", "build", "petstore")
	refused("the artifact is not signed", "--verify-key", "ours.pub")
	must(t, dir, "micro-gw", "build", "petstore", "--sign", "theirs.key")
	refused("which is not trusted", "--verify-key", "ours.pub")

	must(t, dir, "micro-gw", "build", "petstore", "--sign", "ours.key")
	must(t, dir, "micro-gw", "verify", file, "--key", "ours.pub")
	gwPort := port(t)
	gw := start(t, dir, "runtime", append(local(gwPort), "--artifact", file, "--verify-key", "ours.pub")...).listening(gwPort)
	if got := call(t, "GET", "http://127.0.0.1:"+gwPort+"/health", "", ""); got.status != 200 {
		t.Errorf("got %d %s", got.status, got.body)
	}
	gw.stop()

	// A project whose conf insists on a key can still be tried: run signs what
	// it serves with a key of its own.
	write(t, dir, "petstore/conf/micro-gw.conf", "[artifact]\nverifyKeys = [\"../../ours.pub\"]\n")
	runPort := port(t)
	run := start(t, dir, "micro-gw", "run", "petstore", "--port", runPort,
		"-e", "listenerConfig.httpsPort=-1", "-e", "admin.address=").listening(runPort)
	run.stop()
}
