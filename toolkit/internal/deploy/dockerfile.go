package deploy

import (
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// plainWord is a name that means itself wherever it stands in a Dockerfile.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// inImage is the project's name in an image: the folder's, unless that has
// characters that a Dockerfile gives a meaning.
func inImage(project string) string {
	if plainWord.MatchString(project) {
		return project
	}
	return slug(project)
}

func (g *generator) docker() {
	d := &g.Config.Docker
	name := inImage(g.Project)
	var copies [][2]string
	for i, c := range d.Copy {
		data, ok := g.read(c.source, maxFile)
		if !ok {
			continue
		}
		_, secrets, ok := []byte(nil), []string(nil), true
		if c.conf {
			_, secrets, ok = g.conf(c.source)
		}
		switch {
		case !ok:
			continue
		case len(secrets) > 0:
			g.l.ErrorHint(c.source.at, `write "${env:NAME}" there, or mount the file when the container is started`,
				"%s: everybody who can read the image could read %s", c.source.text, strings.Join(secrets, ", "))
			continue
		case private(data):
			g.l.ErrorHint(c.source.at, "mount it when the container is started", "%s: everybody who can read the image could read this private key", c.source.text)
			continue
		case keyStore(c.source.text):
			g.l.WarnHint(c.source.at, "mount it when the container is started, if it has private keys", "%s: everybody who can read the image can read this key store", c.source.text)
		}
		inside := fmt.Sprintf("files/%d-%s", i+1, clean(filepath.Base(filepath.FromSlash(c.source.text))))
		target := c.target
		if strings.HasSuffix(target, "/") {
			target = path.Join(target, filepath.Base(c.source.text))
		}
		g.add("docker/"+inside, data, 0o644)
		copies = append(copies, [2]string{inside, target})
	}
	if d.Base == "scratch" {
		g.add("docker/ca-certificates.crt", roots(), 0o644)
	}
	g.add("docker/"+name+".mgw", g.Artifact, 0o644)
	args := d.Args
	for _, c := range d.Copy {
		if c.conf && c.target != confFile {
			args = append([]string{"--conf", c.target}, args...)
		}
	}
	g.add("docker/Dockerfile", []byte(dockerfile(name, d.Base, copies, args)), 0o644)
}

// clean is a file name without what a Dockerfile gives a meaning.
func clean(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (r == '.' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z') {
			return r
		}
		return '_'
	}, name)
}

// dockerfile is the recipe of an image with a project, or with none if project
// is "". The classic builder must understand it, not BuildKit alone, and no
// command may run in it: there is nothing in the image that could run one.
func dockerfile(project, base string, copies [][2]string, args []string) string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	if project == "" {
		line("# Made by micro-gw image: the gateway without a project.")
	} else {
		line("# Made by micro-gw build, and made anew by the next one: what to change is in")
		line("# %s.", ConfigName)
	}
	line("FROM %s", base)
	line("# Tokens of micro-gw token are for development: --dev accepts them.")
	line("ENV development_enabled=false")
	line("USER %d:%d", user, user)
	line("EXPOSE %d %d", portHTTP, portHTTPS)
	line(`HEALTHCHECK --interval=30s --timeout=6s --start-period=5s CMD ["/runtime", "health"]`)
	line(`ENTRYPOINT ["/runtime"]`)
	// What changes with the project comes last: the images of all projects have
	// the layers above in common.
	if base == "scratch" {
		line("COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt")
	}
	line("COPY runtime /runtime")
	if project == "" {
		line("WORKDIR %s", execFolder)
		return b.String()
	}
	if base != "scratch" || len(args) > 0 {
		// A base image's own command would become arguments of the gateway.
		words := make([]string, len(args))
		for i, a := range args {
			words[i] = quoted(a)
		}
		line("CMD [%s]", strings.Join(words, ", "))
	}
	for _, c := range copies {
		line("COPY [%s, %s]", quoted(c[0]), quoted(c[1]))
	}
	line("ENV project=%s", project)
	line("COPY %s.mgw %s/%s.mgw", project, execFolder, project)
	return b.String()
}
