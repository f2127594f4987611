package deploy

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"debug/elf"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/project"
)

// runtimePackage is what the runtime's binary says that it was built from.
const runtimePackage = "github.com/microgw/microgw/runtime/cmd/runtime"

// A Binary is a runtime that can be put into an image.
type Binary struct {
	Path string
	Arch string // as Go and image registries call it: amd64, arm64
}

// A BinaryError says why a file is none.
type BinaryError struct {
	Path, Reason string
}

func (e *BinaryError) Error() string { return e.Path + ": " + e.Reason }

// CheckBinary makes sure that a file is the runtime, for Linux, and needs
// nothing else to run: an image of anything else would be built well and never
// start.
func CheckBinary(path string) (Binary, error) {
	refuse := func(format string, args ...any) (Binary, error) {
		return Binary{}, &BinaryError{path, fmt.Sprintf(format, args...)}
	}
	info, err := os.Stat(path)
	if err != nil {
		return refuse("%v", project.Reason(err))
	}
	if !info.Mode().IsRegular() {
		return refuse("not a regular file")
	}
	f, err := elf.Open(path)
	if err != nil {
		return refuse("it is no program for Linux")
	}
	defer f.Close()
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN || f.OSABI != elf.ELFOSABI_NONE && f.OSABI != elf.ELFOSABI_LINUX {
		return refuse("it is no program for Linux")
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return refuse("it is linked dynamically, and an image has no libraries; build it with CGO_ENABLED=0")
		}
	}
	b := Binary{Path: path}
	switch f.Machine {
	case elf.EM_X86_64:
		b.Arch = "amd64"
	case elf.EM_AARCH64:
		b.Arch = "arm64"
	default:
		return refuse("it is for %s; images are made for amd64 and arm64", strings.ToLower(strings.TrimPrefix(f.Machine.String(), "EM_")))
	}
	built, err := buildinfo.ReadFile(path)
	switch {
	case err != nil || built.Path != runtimePackage:
		return refuse("it is not the runtime of micro-gw")
	}
	for _, s := range built.Settings {
		if s.Key == "GOOS" && s.Value != "linux" {
			return refuse("it is for %s, not for Linux", s.Value)
		}
	}
	return b, nil
}

// Write puts files into a folder of its own in dir, in place of the folder that
// is there: what a build does not make any more is gone.
func Write(dir string, files []File) (err error) {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), ".micro-gw-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	fresh := filepath.Join(work, "new")
	for _, f := range files {
		name := filepath.Join(fresh, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, f.Data, f.Mode); err != nil {
			return err
		}
		// Whatever the umask is: the modes are part of the image.
		if err := os.Chmod(name, f.Mode); err != nil {
			return err
		}
	}
	if err := os.Rename(dir, filepath.Join(work, "old")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.Rename(fresh, dir)
}

// Engine is the Docker engine and who uses it.
type Engine struct {
	Host, CertPath string // "" for what the environment says
	User, Password string // for pushing; "" for what docker itself knows
}

// An EngineError is what docker said.
type EngineError struct {
	Doing string
	Said  string
	// Missing says that there is no docker at all.
	Missing bool
}

func (e *EngineError) Error() string { return e.Doing + ": " + e.Said }

func (e *Engine) run(ctx context.Context, doing string, env []string, args ...string) (string, error) {
	docker, err := exec.LookPath("docker")
	if err != nil {
		return "", &EngineError{doing, "there is no program called docker in PATH", true}
	}
	var stdout, stderr bytes.Buffer
	c := exec.CommandContext(ctx, docker, args...)
	c.Stdout, c.Stderr = &stdout, &stderr
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.Env = append(os.Environ(), env...)
	if e.Host != "" {
		c.Env = append(c.Env, "DOCKER_HOST="+e.Host)
	}
	if e.CertPath != "" {
		c.Env = append(c.Env, "DOCKER_CERT_PATH="+e.CertPath, "DOCKER_TLS_VERIFY=1")
	}
	if err := c.Run(); err != nil {
		said := strings.TrimSpace(stderr.String())
		if said == "" {
			said = err.Error()
		}
		// The last line tells why; those before it tell what went well.
		lines := strings.Split(said, "\n")
		return "", &EngineError{Doing: doing, Said: strings.TrimSpace(lines[len(lines)-1])}
	}
	return strings.TrimSpace(stdout.String()), nil
}

// Arch is the processor of the machine that the engine makes images for.
func (e *Engine) Arch(ctx context.Context) (string, error) {
	return e.run(ctx, "docker version", nil, "version", "--format", "{{.Server.Arch}}")
}

// Build makes an image of a folder and returns its ID.
func (e *Engine) Build(ctx context.Context, dir, image string) (string, error) {
	return e.run(ctx, "docker build", nil, "build", "--quiet", "--tag", image, dir)
}

// Push sends an image to its registry. Credentials are handed over in a folder
// that is gone afterwards, as `docker login` would leave them in the user's.
func (e *Engine) Push(ctx context.Context, image string) error {
	var env []string
	if e.User != "" {
		dir, err := os.MkdirTemp("", "micro-gw-docker-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		host, _, ok := strings.Cut(image, "/")
		if !ok || !isHost(host) || host == "docker.io" {
			host = "https://index.docker.io/v1/"
		}
		auth := base64.StdEncoding.EncodeToString([]byte(e.User + ":" + e.Password))
		data, err := json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{"auth": auth}}})
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "config.json"), data, 0o600); err != nil {
			return err
		}
		env = append(env, "DOCKER_CONFIG="+dir)
	}
	_, err := e.run(ctx, "docker push", env, "push", "--quiet", image)
	return err
}
