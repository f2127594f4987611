package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/microgw/microgw/toolkit/internal/build"
	"github.com/microgw/microgw/toolkit/internal/deploy"
	"github.com/microgw/microgw/toolkit/internal/diag"
)

// deployOptions is what the command line says about images and Kubernetes.
type deployOptions struct {
	config string // in place of the project's own
	docker bool
	image  string // NAME:TAG
	base   string
	binary string

	plan *deploy.Config // after prepare
	dir  string
}

const (
	binaryFlag  = "runtime-binary"
	binaryUsage = "`PATH` of the runtime's binary for images, a static one for Linux"
)

func addDeploy(cmd *cobra.Command, o *deployOptions) {
	f := cmd.Flags()
	f.StringVarP(&o.config, "deployment-config", "d", "", "take `FILE` as the project's conf/deployment-config.toml, from now on")
	f.BoolVar(&o.docker, "docker", false, "make a Docker image")
	f.StringVar(&o.image, "docker-image", "", "make a Docker image called `NAME:TAG`")
	f.StringVar(&o.base, "docker-base-image", "", "make a Docker image on top of `IMAGE`")
	f.StringVar(&o.binary, binaryFlag, "", binaryUsage)
}

// complete checks the flags, and on a terminal asks for what --docker leaves
// open, as WSO2 does.
func (o *deployOptions) complete(a *app, cmd *cobra.Command, opts *build.Options) error {
	for _, name := range []string{"deployment-config", "docker-image", "docker-base-image", binaryFlag} {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
			return usage("", "--%s needs a value", name)
		}
	}
	if o.config != "" {
		if info, err := os.Stat(o.config); err != nil || !info.Mode().IsRegular() {
			return usage("", "-d %s: no such file", o.config)
		}
		opts.DeploymentConfig = o.config
	}
	ask := o.docker && a.err.interactive && term.IsTerminal(int(os.Stdin.Fd()))
	o.docker = o.docker || o.image != "" || o.base != ""
	if ask {
		for _, q := range []struct {
			what, def, flag string
			answer          *string
		}{
			{"name of the image", defaultImage(opts.Dir), "--docker-image", &o.image},
			{"base image", "scratch", "--docker-base-image", &o.base},
		} {
			if *q.answer != "" {
				continue
			}
			line, err := a.prompter(cmd.Context()).line(fmt.Sprintf("%s [%s]: ", q.what, q.def), q.what, q.flag)
			if err != nil {
				return err
			}
			*q.answer = cmp.Or(strings.TrimSpace(line), q.def)
		}
	}
	return o.check()
}

// check refuses names of images that are none.
func (o *deployOptions) check() error {
	for flag, image := range map[string]string{"--docker-image": o.image, "--docker-base-image": o.base} {
		if problem, hint := deploy.CheckImage(image); image != "" && problem != "" {
			return usage(hint, "%s: %s", flag, problem)
		}
	}
	if strings.Contains(o.image, "@") {
		return usage("", "--docker-image: an image that is still to be built has no digest yet")
	}
	return nil
}

// defaultImage is the image of --docker.
func defaultImage(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	return deploy.Default(filepath.Base(abs)).Docker.Name + ":v1"
}

// prepare decides what is to be made, and adds what is wrong with that to the
// diagnostics of the build. Nothing is written.
func (o *deployOptions) prepare(opts build.Options, result *build.Result) error {
	o.dir, o.plan = opts.Dir, result.Deployment
	d := &o.plan.Docker
	if o.docker {
		if !d.Enabled && o.image == "" {
			d.Tag = "v1"
		}
		d.Enabled, d.Build = true, true
		if o.image != "" {
			d.SetImage(o.image)
		}
		d.Base = cmp.Or(o.base, d.Base)
	}
	deploy.Generate(o.input(result.Summary.Project, nil, ""), &result.Diagnostics)
	result.Diagnostics.Sort()
	if result.Diagnostics.HasErrors() {
		result.Artifact = nil
		return nil
	}
	if !d.Enabled {
		return nil
	}
	binary, err := imageBinary(o.binary)
	o.binary = binary.Path
	return err
}

func (o *deployOptions) input(project string, artifact []byte, digest string) deploy.Input {
	return deploy.Input{Dir: o.dir, Project: project, Config: o.plan, Artifact: artifact, Digest: digest, Getenv: os.Getenv}
}

// imageBinary finds the runtime that goes into images: the one that was given,
// else the one beside micro-gw.
func imageBinary(given string) (deploy.Binary, error) {
	path := given
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return deploy.Binary{}, failed(err)
		}
		path = filepath.Join(filepath.Dir(self), "runtime")
	}
	b, err := deploy.CheckBinary(path)
	if err == nil {
		return b, nil
	}
	if given == "" {
		return b, &failure{code: exitError, err: fmt.Errorf("no runtime for the image: %w", err), hint: "say where it is with --" + binaryFlag + " PATH"}
	}
	return b, usage("make builds one: bin/runtime, on any system with GOOS=linux", "--%s %w", binaryFlag, err)
}

// make writes the files of the deployment, and makes and pushes the image.
func (o *deployOptions) make(ctx context.Context, a *app, say *built) error {
	artifact, err := os.ReadFile(say.Artifact)
	if err != nil {
		return failed(err)
	}
	byFolder := map[string][]deploy.File{}
	// What is wrong was said by prepare; a file that has changed since then
	// would be.
	var list diag.List
	for _, f := range deploy.Generate(o.input(say.Project, artifact, say.Digest), &list) {
		folder, name, _ := strings.Cut(f.Name, "/")
		f.Name = name
		byFolder[folder] = append(byFolder[folder], f)
	}
	if list.HasErrors() {
		a.err.diagnostics(list, "build")
		return errReported
	}
	d := &o.plan.Docker
	if d.Enabled {
		binary, err := os.ReadFile(o.binary)
		if err != nil {
			return failed(err)
		}
		byFolder["docker"] = append(byFolder["docker"], deploy.File{Name: "runtime", Data: binary, Mode: 0o755})
	}
	for _, folder := range []string{"docker", "kubernetes"} {
		files := byFolder[folder]
		if len(files) == 0 {
			continue
		}
		dir := filepath.Join(o.dir, "target", folder)
		if err := deploy.Write(dir, files); err != nil {
			return failed(err)
		}
		for _, f := range files {
			say.Files = append(say.Files, filepath.Join(dir, filepath.FromSlash(f.Name)))
		}
	}
	if o.config != "" {
		if err := o.keep(); err != nil {
			return failed(err)
		}
	}
	if !d.Enabled || !d.Build {
		return nil
	}
	engine := &deploy.Engine{Host: d.Host, CertPath: d.CertPath}
	say.Image = d.Image()
	dir := filepath.Join(o.dir, "target", "docker")
	if say.ImageID, err = a.image(ctx, engine, o.binary, dir, say.Image); err != nil {
		var f *failure
		if errors.As(err, &f) && f.hint == "" {
			f.hint = "what it is built from is in " + dir
		}
		return err
	}
	if !d.Push {
		return nil
	}
	user, pass := cmp.Or(d.User, "$env{DOCKER_USERNAME}"), cmp.Or(d.Password, "$env{DOCKER_PASSWORD}")
	engine.User, _ = deploy.Expand(user, os.Getenv)
	engine.Password, _ = deploy.Expand(pass, os.Getenv)
	done := a.err.progress("pushing " + say.Image)
	err = engine.Push(ctx, say.Image)
	done()
	return engineFailure(err)
}

// image builds an image of a folder.
func (a *app) image(ctx context.Context, engine *deploy.Engine, binary, dir, image string) (string, error) {
	done := a.err.progress("making the image " + image)
	defer done()
	b, err := deploy.CheckBinary(binary)
	if err != nil {
		return "", failed(err)
	}
	arch, err := engine.Arch(ctx)
	if err != nil {
		return "", engineFailure(err)
	}
	if arch != b.Arch {
		return "", &failure{code: exitError, err: fmt.Errorf("%s is for %s, and the Docker engine makes images for %s", binary, b.Arch, arch), hint: "give the other one with --" + binaryFlag}
	}
	id, err := engine.Build(ctx, dir, image)
	return id, engineFailure(err)
}

func engineFailure(err error) error {
	if err == nil {
		return nil
	}
	if e := new(deploy.EngineError); errors.As(err, &e) && e.Missing {
		return &failure{code: exitError, err: err, hint: "with buildImage = false, or image -o, others make the image"}
	}
	return failed(err)
}

// keep makes the file of -d the project's own.
func (o *deployOptions) keep() error {
	data, err := os.ReadFile(o.config)
	if err != nil {
		return err
	}
	own := filepath.Join(o.dir, filepath.FromSlash(deploy.ConfigName))
	if info, err := os.Stat(own); err == nil {
		if given, err := os.Stat(o.config); err == nil && os.SameFile(info, given) {
			return nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
		return err
	}
	return os.WriteFile(own, data, 0o644)
}

// announce says what was made beside the artifact.
func (o *deployOptions) announce(w io.Writer, say *built) {
	target := filepath.Join(o.dir, "target")
	for _, folder := range []string{"docker", "kubernetes"} {
		var names []string
		for _, f := range say.Files {
			if name, ok := strings.CutPrefix(f, filepath.Join(target, folder)+string(filepath.Separator)); ok {
				names = append(names, filepath.ToSlash(name))
			}
		}
		if len(names) > 0 {
			fmt.Fprintf(w, "%s: %s\n", filepath.Join(target, folder), strings.Join(names, ", "))
		}
	}
	if say.Image != "" {
		fmt.Fprintf(w, "image %s\n%s\n", say.Image, say.ImageID)
	}
	if o.plan.Kubernetes.Enabled() {
		fmt.Fprintf(w, "next: kubectl apply -f %s\n", filepath.Join(target, "kubernetes"))
	}
}

const imageLong = `Make the image of the runtime alone, without a project. As with WSO2's image,
the folder that a project was built in is mounted, and named by a variable:

    docker run -v "$PWD/petstore/target:/home/exec" -p 9090:9090 -p 9095:9095 \
        -e project=petstore micro-gw

A micro-gw.conf is mounted at /home/ballerina/conf/micro-gw.conf. With -o the
folder that the image is built from is written, and no image made.

Exit codes: 0 made; 1 the image cannot be made; 2 wrong arguments.`

func (a *app) imageCommand() *cobra.Command {
	var (
		o   = deployOptions{image: "micro-gw:latest"}
		dir string
	)
	cmd := &cobra.Command{
		Use:   "image",
		Short: "Make an image of the runtime alone",
		Long:  imageLong,
		Example: `  micro-gw image
  micro-gw image --docker-image registry.example.com/micro-gw:1.0
  micro-gw image -o image && docker build --tag micro-gw image`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("see "+help(cmd), "unexpected %q", args[0])
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			binary, err := imageBinary(o.binary)
			if err != nil {
				return err
			}
			data, err := os.ReadFile(binary.Path)
			if err != nil {
				return failed(err)
			}
			files := append(deploy.Base(), deploy.File{Name: "runtime", Data: data, Mode: 0o755})
			if dir != "" {
				// A folder that was not made here is not ours to replace.
				if _, err := os.Lstat(dir); err == nil {
					if _, err := os.Stat(filepath.Join(dir, "ca-certificates.crt")); err != nil {
						return usage("name a folder that is not there yet", "-o %s exists and was not made by this command", dir)
					}
				}
				if err := deploy.Write(dir, files); err != nil {
					return failed(err)
				}
				fmt.Fprintf(a.out, "%s: for linux/%s\nnext: docker build --tag %s %s\n", dir, binary.Arch, o.image, dir)
				return nil
			}
			work, err := os.MkdirTemp("", "micro-gw-image-")
			if err != nil {
				return failed(err)
			}
			defer os.RemoveAll(work)
			context := filepath.Join(work, "image")
			if err := deploy.Write(context, files); err != nil {
				return failed(err)
			}
			d := deploy.Docker{}
			d.SetImage(o.image)
			id, err := a.image(cmd.Context(), &deploy.Engine{}, binary.Path, context, d.Image())
			if err != nil {
				return err
			}
			fmt.Fprintf(a.out, "image %s\n%s\n", d.Image(), id)
			return nil
		},
	}
	cmd.Flags().StringVar(&o.image, "docker-image", o.image, "call it `NAME:TAG`")
	cmd.Flags().StringVar(&o.binary, binaryFlag, "", binaryUsage)
	cmd.Flags().StringVarP(&dir, "out", "o", "", "write what it is built from into the folder `DIR`")
	return cmd
}
