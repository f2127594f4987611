package deploy

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/toml"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// ConfigName is where a project keeps the file.
const ConfigName = "conf/deployment-config.toml"

// The ports of a gateway in a container. The conf may say otherwise, but who
// changes them there has no reason to: a container has all ports to itself.
const (
	portHTTP  = 9090
	portHTTPS = 9095
	portAdmin = 9000
	portToken = 9096 // of the token services, which the HTTPS port has as well
)

// A Config is what to make of a project beside its artifact. The zero value
// makes nothing.
type Config struct {
	Docker     Docker
	Kubernetes Kubernetes
}

// Docker is the image.
type Docker struct {
	Enabled   bool
	Registry  string
	Name, Tag string
	Build     bool // else only the Dockerfile is written
	Base      string
	Host      string
	CertPath  string
	Push      bool
	User      string // may have $env{NAME} in it, as the password
	Password  string
	Args      []string
	Copy      []copied
}

// Image is the reference of the image, without a tag that was not asked for.
func (d *Docker) Image() string {
	name := d.Name
	if d.Registry != "" {
		name = strings.TrimSuffix(d.Registry, "/") + "/" + name
	}
	return name + ":" + d.Tag
}

// SetImage takes a reference apart; without a tag it is the latest.
func (d *Docker) SetImage(ref string) {
	name, tag := splitTag(ref)
	d.Registry, d.Name, d.Tag = "", name, cmp.Or(tag, "latest")
}

// copied is a file that is put into the image.
type copied struct {
	source item
	target string
	conf   bool // it is micro-gw.conf
}

// Kubernetes is what to run in a cluster.
type Kubernetes struct {
	Deployment Deployment
	Services   []Service
	Ingresses  []Ingress
	HPA        HPA
	Secrets    []Data
	ConfigMaps []Data
	Conf       item // micro-gw.conf; "" for none
	Claim      Claim
}

// Enabled says whether anything is to be written.
func (k *Kubernetes) Enabled() bool {
	return k.Deployment.Enabled || len(k.Services) > 0 || len(k.Ingresses) > 0 || k.HPA.Enabled ||
		len(k.Secrets) > 0 || len(k.ConfigMaps) > 0 || k.Conf.text != "" || k.Claim.Enabled
}

// Deployment is the pods.
type Deployment struct {
	Enabled     bool
	Name        string
	Labels      map[string]string
	Replicas    int
	Liveness    Probe
	Readiness   Probe
	PullPolicy  string
	PullSecrets []string
	Image       string // "" for the one of Docker
	Env         []envVar
	Requests    map[string]string
	Limits      map[string]string
	SingleYAML  bool
}

// Probe is how the kubelet looks after a pod.
type Probe struct {
	Enabled       bool
	Port          int
	Delay, Period int // seconds
}

// envVar is a variable of the container: a value, or where to take it from.
type envVar struct {
	name, value string
	// from is secretKeyRef, configMapKeyRef or fieldRef, or "".
	from, ref, key string
}

// Service gives pods an address.
type Service struct {
	Name   string
	Labels map[string]string
	Type   string
	Ports  []servicePort
}

type servicePort struct {
	name string // of the container's port
	port int
}

// Ingress leads requests from outside to a service.
type Ingress struct {
	Name        string
	Labels      map[string]string
	Annotations map[string]string
	Host        string
	Path        string
	Target      string
	Class       string
	HTTPS       bool // leads to the HTTPS port
	TLS         bool // ends TLS
	KeyStore    item
	Password    item // of KeyStore; may have $env{NAME} in it
	at          diag.At
}

// HPA scales the deployment.
type HPA struct {
	Enabled  bool
	Name     string
	Labels   map[string]string
	Min, Max int
	CPU      int // percent of the request
}

// Data is a secret or a config map made of files, and where it is mounted.
type Data struct {
	Name      string
	MountPath string
	ReadOnly  bool
	Files     []item
	at        diag.At
}

// Claim is a volume.
type Claim struct {
	Enabled    bool
	Name       string
	MountPath  string
	ReadOnly   bool
	AccessMode string
	Size       string
	at         diag.At
}

// The labels that tell our pods from others. They are what services select by,
// so no label of the author's may change them.
const (
	labelApp       = "app.kubernetes.io/name"
	labelComponent = "app.kubernetes.io/component"
)

// Parse reads the file of a project. What is wrong with it is appended to l.
// What is not enabled is checked for misspelt keys and wrong types, too: it was
// written to be enabled one day.
func Parse(name string, data []byte, project string, l *diag.List) *Config {
	c := Default(project)
	n := toml.Parse(name, data, l)
	if n == nil {
		return c
	}
	p := &parser{project: project, c: c, l: l}
	root := &table{n: n, l: l}
	p.docker(root.table("docker"))
	p.kubernetes(root.table("kubernetes"))
	if root.has("filters") {
		// A filter may be what keeps somebody out. It is never just left away.
		root.errorf("filters", "say in the definitions what it does: security, throttling tiers, interceptors", "filters written for WSO2 are not run by this gateway")
	}
	root.close()
	return c
}

// Default is what holds where a project has no such file.
func Default(project string) *Config {
	return &Config{Docker: Docker{Name: slug(project), Tag: "latest", Build: true, Base: "scratch"}}
}

type parser struct {
	project string
	c       *Config
	l       *diag.List
}

// section is a table that can be switched on.
func section(parent *table, key string) (t *table, on bool) {
	t = parent.table(key)
	return t, t.flag("enable", false)
}

func (p *parser) docker(t *table) {
	d := &p.c.Docker
	c, on := section(t, "dockerConfig")
	d.Enabled = on
	d.Name = c.checked("name", d.Name, checkRepository)
	d.Registry = c.checked("registry", "", checkRegistry)
	d.Tag = c.checked("tag", d.Tag, checkTag)
	p.imageKeys(c, on)
	if c.flag("enableDebug", false) && on {
		c.warnf("enableDebug", "b7a.log.level in the conf says how much the log tells", "there is no remote debugger; it is ignored")
	}
	c.number("debugPort", 0, 1, 65535)
	c.close()

	f, on := section(t, "dockerCopyFiles")
	p.copyFiles(f, on)
	f.close()
	t.close()
}

// imageKeys are those that dockerConfig and kubernetesDeployment share. Where
// both are there, dockerConfig's count.
func (p *parser) imageKeys(t *table, on bool) {
	d := &p.c.Docker
	build := t.flag("buildImage", true)
	base := t.checked("baseImage", "", checkBase)
	if on && (strings.HasPrefix(base, "wso2/") || strings.HasPrefix(base, "ballerina/")) {
		t.warnf("baseImage", "leave it away: the image then holds the gateway and nothing else", "what %s has in it is not used", base)
	}
	host := t.text("dockerHost", "")
	certs := t.text("dockerCertPath", "")
	push := t.flag("push", false)
	user, pass := t.text("username", ""), t.text("password", "")
	if on && pass != "" && !strings.Contains(pass, "$env{") {
		t.warnf("password", `write "$env{DOCKER_PASSWORD}"`, "a password in a file that is under version control is known to many")
	}
	args := p.command(t)
	if !on {
		return
	}
	d.Build = build
	d.Base = cmp.Or(base, d.Base)
	d.Host, d.CertPath = cmp.Or(d.Host, host), cmp.Or(d.CertPath, certs)
	d.Push = d.Push || push
	if d.User == "" {
		d.User, d.Password = user, pass
	}
	if d.Args == nil {
		d.Args = args
	}
}

func (p *parser) item(t *table, key string) item {
	if s := t.text(key, ""); s != "" {
		return item{s, t.at(key)}
	}
	return item{}
}

// command reads what is put behind the gateway's name. WSO2's value is a line of
// a Dockerfile, "CMD gateway ${APP}", with values of the conf behind it.
func (p *parser) command(t *table) []string {
	line := t.text("cmd", "")
	if line == "" {
		return nil
	}
	words := strings.Fields(line)
	for _, w := range []string{"CMD", "gateway", "${APP}"} {
		if len(words) > 0 && words[0] == w {
			words = words[1:]
		}
	}
	var args []string
	for len(words) > 0 {
		w := words[0]
		words = words[1:]
		if w == "-e" && len(words) > 0 {
			w, words = "--"+words[0], words[1:]
		}
		key, _, ok := strings.Cut(strings.TrimPrefix(w, "--"), "=")
		if !strings.HasPrefix(w, "--") || !ok || key == "" || strings.ContainsAny(w, "$\"'`;|&<>()\\") {
			t.errorf("cmd", `write "CMD gateway ${APP}", with --KEY=VALUE of the conf behind it; there is no shell in the image`, "%q is nothing that the gateway could be told", w)
			return nil
		}
		if secretive(key) {
			t.errorf("cmd", "put it into the environment, from a secret", "%q: everybody who can read the image could read it", key)
			return nil
		}
		args = append(args, "-e", strings.TrimPrefix(w, "--"))
	}
	return args
}

func (p *parser) copyFiles(t *table, on bool) {
	files := t.tables("files")
	for _, f := range files {
		c := copied{source: p.item(f, "source"), target: f.checked("target", "", checkPath), conf: f.flag("isBallerinaConf", false)}
		if c.conf && c.target == "" {
			c.target = confFile
		}
		f.close()
		if !on {
			continue
		}
		switch {
		case c.source.text == "":
			f.errorf("source", "", `"source" is missing: which file`)
		case c.target == "" && !f.has("target"):
			f.errorf("target", "", `"target" is missing: where in the container`)
		case c.target != "":
			p.c.Docker.Copy = append(p.c.Docker.Copy, c)
		}
	}
	if on && len(files) == 0 && !t.has("files") {
		t.errorf("files", "add [["+t.place+".files]] with source and target", "there are no files to copy")
	}
}

func checkBase(s string) (problem, hint string) {
	if s == "scratch" {
		return "", ""
	}
	return CheckImage(s)
}

func checkRepository(s string) (problem, hint string) {
	if name, tag := splitTag(s); tag != "" {
		return fmt.Sprintf("%q has a tag", s), fmt.Sprintf("write %q, and tag = %q", strings.ToLower(name), tag)
	}
	return CheckImage(s)
}

// movedKeys are those that the comments of WSO2's template have below the table
// copyFiles: without the comment signs they get into it.
var movedKeys = []string{"dockerHost", "dockerCertPath", "push", "username", "password", "baseImage", "imagePullSecrets", "singleYAML", "registry", "cmd", "image", "buildImage"}

func (p *parser) kubernetes(t *table) {
	k := &p.c.Kubernetes
	p.deployment(t)
	p.services(t)
	p.ingresses(t)
	p.hpa(t)
	p.data(t)
	p.claim(t)
	job, on := section(t, "kubernetesJob")
	if on {
		job.errorf("enable", "enable kubernetesDeployment instead", "a gateway does not end by itself, so it cannot be a job")
	}
	t.close()
	if !k.Deployment.Enabled {
		if k.HPA.Enabled {
			p.l.ErrorHint(t.table("kubernetesHpa").at("enable"), "enable kubernetes.kubernetesDeployment", "there is no deployment to scale")
		}
		return
	}
	if k.Conf.text == "" && !slices.ContainsFunc(p.c.Docker.Copy, func(c copied) bool { return c.conf }) {
		p.l.WarnHint(t.table("kubernetesDeployment").at("enable"), `enable kubernetes.kubernetesConfigMap with ballerinaConf = "conf/micro-gw.conf"`,
			"nothing gives the gateway a micro-gw.conf, so it believes no issuer of tokens")
	}
}

func (p *parser) deployment(t *table) {
	k := &p.c.Kubernetes
	d := &k.Deployment
	t, on := section(t, "kubernetesDeployment")
	d.Enabled = on
	d.Name = t.checked("name", slug(p.project)+"-deployment", checkName)
	d.Labels = t.words("labels", p.checkOwn)
	d.Replicas = t.number("replicas", 1, 0, 1000)
	enabled := t.flag("enableLiveness", true)
	delay := t.number("initialDelaySeconds", 0, 0, 3600)
	period := t.number("periodSeconds", 10, 1, 3600)
	d.Liveness = p.probe(t, "livenessProbe", "livenessPort", Probe{enabled, portAdmin, delay, period})
	d.Readiness = p.probe(t, "readinessProbe", "", Probe{true, portAdmin, 0, 5})
	d.PullPolicy = t.choice("imagePullPolicy", "IfNotPresent", "Always", "IfNotPresent", "Never")
	for _, s := range t.list("imagePullSecrets") {
		if problem, hint := checkName(s.text); problem != "" {
			p.l.ErrorHint(s.at, hint, "%s", problem)
			continue
		}
		d.PullSecrets = append(d.PullSecrets, s.text)
	}
	registry := t.checked("registry", "", checkRegistry)
	d.Image = t.checked("image", "", CheckImage)
	if host, _, ok := strings.Cut(d.Image, "/"); d.Image != "" && registry != "" && !(ok && isHost(host)) {
		d.Image = strings.TrimSuffix(registry, "/") + "/" + d.Image
	}
	d.Env = p.env(t)
	r := t.table("resources")
	d.Requests = r.words("requests", checkQuantity)
	d.Limits = r.words("limits", checkQuantity)
	r.close()
	d.SingleYAML = t.flag("singleYAML", true)

	docker := &p.c.Docker
	alone := on && !docker.Enabled
	if alone && registry != "" {
		docker.Registry = registry
	}
	p.imageKeys(t, alone)
	f, copying := section(t, "copyFiles")
	f.moved = map[string]string{}
	for _, key := range movedKeys {
		f.moved[key] = "move it up, above the line [" + f.place + "]"
	}
	p.copyFiles(f, copying)
	f.close()
	t.close()
	if !alone || !docker.Build {
		return
	}
	// WSO2 made the image as a part of the deployment.
	docker.Enabled = true
	if d.Image != "" {
		if strings.Contains(d.Image, "@") {
			t.errorf("image", "set buildImage = false, or leave the digest away", "an image that is still to be built has no digest yet")
			return
		}
		docker.SetImage(d.Image)
	}
}

// checkOwn checks a label that the author gives to what is ours.
func (p *parser) checkOwn(key, value string) string {
	if key == labelApp || key == labelComponent {
		return fmt.Sprintf("%s is what services select the pods by, and is set already", key)
	}
	return checkPair(key, value)
}

// probe reads a probe's own table, in which old single keys are the defaults.
func (p *parser) probe(t *table, key, oldPort string, was Probe) Probe {
	where, portKey := t, oldPort
	if oldPort != "" {
		was.Port = t.number(oldPort, was.Port, 1, 65535)
	}
	own := t.table(key)
	probe := Probe{
		Enabled: own.flag("enable", was.Enabled),
		Port:    own.number("port", was.Port, 1, 65535),
		Delay:   own.number("initialDelaySeconds", was.Delay, 0, 3600),
		Period:  own.number("periodSeconds", was.Period, 1, 3600),
	}
	if own.has("port") {
		where, portKey = own, "port"
	}
	own.close()
	switch {
	case probe.Port == portAdmin:
	case probe.Port != portHTTP && probe.Port != portHTTPS:
		where.errorf(portKey, fmt.Sprintf("leave it away, or write %d", portAdmin), "%d is no port of the gateway: it has %d, %d and, for probes, %d", probe.Port, portHTTP, portHTTPS, portAdmin)
	case key == "readinessProbe":
		where.warnf(portKey, fmt.Sprintf("leave it away, or write %d", portAdmin), "%d says that the gateway lives, not whether it is ready; only %d does", probe.Port, portAdmin)
	}
	return probe
}

var fieldPath = regexp.MustCompile(`^(metadata|spec|status)\.[A-Za-z.]+(\['[^']+'\])?$`)

// env reads variables. A value may be a reference as Kubernetes has them.
func (p *parser) env(t *table) []envVar {
	var all []envVar
	for _, e := range t.pairs("env") {
		if !envName.MatchString(e.key) {
			p.l.Errorf(e.at, "%q is not the name of a variable", e.key)
			continue
		}
		v := envVar{name: e.key}
		switch e.value.Kind {
		case tree.Object:
			if !p.reference(&v, e) {
				continue
			}
		case tree.Array, tree.Null:
			p.l.Errorf(e.at, "want a string, not %s", e.value.Describe())
			continue
		default:
			v.value = e.value.Text
			if secretive(e.key) && v.value != "" {
				p.l.WarnHint(e.at, `write { secretKeyRef = { name = "SECRET", key = "KEY" } }`, "everybody who can read the deployment can read this value")
			}
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b envVar) int { return cmp.Compare(a.name, b.name) })
	return all
}

func (p *parser) reference(v *envVar, e pair) bool {
	r := &table{n: e.value, place: e.at.Place, l: p.l}
	for _, kind := range []string{"secretKeyRef", "configMapKeyRef", "fieldRef"} {
		ref := r.table(kind)
		if ref.n == nil {
			continue
		}
		v.from = kind
		if kind == "fieldRef" {
			v.key = ref.text("fieldPath", "")
			if !fieldPath.MatchString(v.key) {
				ref.errorf("fieldPath", "", "want the path of a field, such as status.podIP")
			}
		} else {
			v.ref, v.key = ref.checked("name", "", checkName), ref.text("key", "")
			if v.ref == "" || !dataKey.MatchString(v.key) {
				ref.errorf("key", "", `want "name" and "key"`)
			}
		}
		ref.close()
	}
	r.close()
	if v.from == "" {
		p.l.Errorf(e.at, "want a string, or secretKeyRef, configMapKeyRef or fieldRef")
	}
	return v.from != ""
}

func (p *parser) services(t *table) {
	for _, s := range []struct {
		key, name string
		ports     []servicePort
	}{
		{"kubernetesService", "-rest", []servicePort{{"https", portHTTPS}, {"http", portHTTP}}},
		{"kubernetesServiceHttps", "-https", []servicePort{{"https", portHTTPS}}},
		{"kubernetesServiceHttp", "-http", []servicePort{{"http", portHTTP}}},
		{"kubernetesServiceToken", "-token", nil},
	} {
		t, on := section(t, s.key)
		svc := Service{
			Name:   t.checked("name", hostname(p.project)+s.name, checkLabel),
			Labels: t.words("labels", p.checkOwn),
			Type:   t.choice("serviceType", "ClusterIP", "ClusterIP", "NodePort", "LoadBalancer"),
			Ports:  s.ports,
		}
		port := t.number("port", 0, 1, 65535)
		t.close()
		switch {
		case !on:
			continue
		case s.ports == nil:
			t.warnf("enable", "clients reach /token and its like by the HTTPS port", "no service of its own is made for the token port %d", portToken)
			continue
		case port != 0:
			svc.Ports[0].port = port
			if len(svc.Ports) > 1 && svc.Ports[1].port == port {
				svc.Ports = svc.Ports[:1]
			}
		}
		p.c.Kubernetes.Services = append(p.c.Kubernetes.Services, svc)
	}
}

func (p *parser) ingresses(t *table) {
	for _, s := range []struct {
		key, name string
		secure    bool
	}{
		{"kubernetesIngress", "-ingress", false},
		{"secureKubernetesIngress", "-tls-ingress", true},
	} {
		t, on := section(t, s.key)
		in := Ingress{
			Name:        t.checked("name", slug(p.project)+s.name, checkName),
			Labels:      t.words("labels", checkPair),
			Annotations: t.words("annotations", checkAnnotation),
			Host:        t.checked("hostname", "", checkHost),
			Path:        t.checked("path", "/", checkURLPath),
			Target:      t.checked("targetPath", "", checkURLPath),
			Class:       t.checked("ingressClass", "nginx", checkName),
			HTTPS:       s.secure,
		}
		if s.secure {
			in.TLS = t.flag("enableTLS", true)
			in.KeyStore, in.Password = p.item(t, "keyStorePath"), p.item(t, "keyStorePassword")
			if on && in.Password.text != "" && !strings.Contains(in.Password.text, "$env{") {
				t.warnf("keyStorePassword", `write "$env{KEYSTORE_PASSWORD}"`, "a password in a file that is under version control is known to many")
			}
		}
		t.close()
		if !on {
			continue
		}
		in.at = t.at("enable")
		if in.Target != "" && in.Class != "nginx" {
			t.warnf("targetPath", "say it with the annotations of "+in.Class, "how paths are rewritten is known for nginx only; it is ignored")
			in.Target = ""
		}
		port, key := "http", "kubernetesServiceHttp"
		if s.secure {
			port, key = "https", "kubernetesServiceHttps"
		}
		if _, ok := p.c.Kubernetes.serviceFor(port); !ok {
			t.errorf("enable", "enable kubernetes."+key, "there is no service for the port %q that requests could be led to", port)
			continue
		}
		p.c.Kubernetes.Ingresses = append(p.c.Kubernetes.Ingresses, in)
	}
}

// serviceFor finds a service with a port of the container.
func (k *Kubernetes) serviceFor(port string) (string, bool) {
	// The service of this port alone comes behind the one of all.
	for _, s := range slices.Backward(k.Services) {
		for _, p := range s.Ports {
			if p.name == port {
				return s.Name, true
			}
		}
	}
	return "", false
}

var hostPattern = regexp.MustCompile(`^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)

func checkHost(s string) (problem, hint string) {
	if !hostPattern.MatchString(s) || len(s) > 253 {
		return fmt.Sprintf("%q is not a host's name", s), suggest(s, strings.ToLower(s))
	}
	return "", ""
}

func checkURLPath(s string) (problem, hint string) {
	if !strings.HasPrefix(s, "/") || strings.ContainsAny(s, " \t\n?#\\{}()*$;\"'") || strings.Contains(s, "//") {
		return fmt.Sprintf("%q is not a path", s), suggest(s, "/"+strings.Trim(s, "/"))
	}
	return "", ""
}

func (p *parser) hpa(t *table) {
	t, on := section(t, "kubernetesHpa")
	replicas := max(1, p.c.Kubernetes.Deployment.Replicas)
	h := HPA{
		Enabled: on,
		Name:    t.checked("name", slug(p.project)+"-hpa", checkName),
		Labels:  t.words("labels", checkPair),
		Min:     t.number("minReplicas", replicas, 1, 1000),
	}
	h.Max = t.number("maxReplicas", max(h.Min, replicas)+1, 1, 1000)
	// WSO2 spells it cpuPrecentage.
	key := "cpuPrecentage"
	if t.has("cpuPercentage") {
		if t.has(key) {
			t.errorf("cpuPercentage", "keep one of the two spellings", "cpuPrecentage says the same")
		}
		key = "cpuPercentage"
	}
	h.CPU = t.number(key, 50, 1, 10000)
	if on && h.Min > h.Max {
		t.errorf("maxReplicas", "", "%d is less than minReplicas, which is %d", h.Max, h.Min)
	}
	t.known = append(t.known, "cpuPrecentage", "cpuPercentage")
	t.close()
	p.c.Kubernetes.HPA = h
}

func (p *parser) data(t *table) {
	k := &p.c.Kubernetes
	s, on := section(t, "kubernetesSecret")
	s.moved = flatKeys("kubernetes.kubernetesSecret.secrets")
	k.Secrets = p.volumes(s, "secrets", "secret", on)
	if on && len(k.Secrets) == 0 && !s.has("secrets") {
		s.errorf("enable", "add [[kubernetes.kubernetesSecret.secrets]] with name, mountPath and data", "there are no secrets")
	}
	s.close()

	m, on := section(t, "kubernetesConfigMap")
	m.moved = flatKeys("kubernetes.kubernetesConfigMap.configMaps")
	conf := p.item(m, "ballerinaConf")
	k.ConfigMaps = p.volumes(m, "configMaps", "config", on)
	if on {
		k.Conf = conf
		if conf.text == "" && len(k.ConfigMaps) == 0 && !m.has("configMaps") {
			m.errorf("enable", `write ballerinaConf = "conf/micro-gw.conf"`, "there are neither ballerinaConf nor configMaps")
		}
	}
	m.close()
}

func flatKeys(list string) map[string]string {
	m := map[string]string{}
	for _, key := range []string{"name", "mountPath", "readOnly", "data"} {
		m[key] = "put it below a line [[" + list + "]]"
	}
	return m
}

// volumes reads a list of secrets or config maps.
func (p *parser) volumes(t *table, key, kind string, on bool) []Data {
	var all []Data
	for i, e := range t.tables(key) {
		def := fmt.Sprintf("%s-%s", slug(p.project), kind)
		if i > 0 {
			def = fmt.Sprintf("%s-%d", def, i+1)
		}
		d := Data{
			Name:      e.checked("name", def, checkName),
			MountPath: e.checked("mountPath", "", checkPath),
			ReadOnly:  e.flag("readOnly", true),
			Files:     e.list("data"),
			at:        e.n.At(e.place),
		}
		e.close()
		if !on {
			continue
		}
		if d.MountPath == "" && !e.has("mountPath") {
			e.errorf("mountPath", "", `"mountPath" is missing: the folder in the container`)
		}
		if len(d.Files) == 0 && !e.has("data") {
			e.errorf("data", `write data = ["FILE", ...]`, `"data" is missing: which files`)
		}
		for _, other := range all {
			if other.Name == d.Name {
				e.errorf("name", "", "%q is the name of another one", d.Name)
			}
		}
		all = append(all, d)
	}
	return all
}

func (p *parser) claim(t *table) {
	t, on := section(t, "kubernetesPersistentVolumeClaim")
	c := Claim{
		Enabled:    on,
		Name:       t.checked("name", slug(p.project)+"-volume", checkName),
		MountPath:  t.checked("mountPath", "", checkPath),
		ReadOnly:   t.flag("readOnly", false),
		AccessMode: t.choice("accessMode", "ReadWriteOnce", "ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"),
		Size: t.checked("volumeClaimSize", "", func(s string) (string, string) {
			return checkQuantity("", s), ""
		}),
	}
	t.close()
	if on {
		c.at = t.at("mountPath")
		if c.MountPath == "" && !t.has("mountPath") {
			t.errorf("mountPath", "", `"mountPath" is missing: the folder in the container`)
		}
		if c.Size == "" && !t.has("volumeClaimSize") {
			t.errorf("volumeClaimSize", `write volumeClaimSize = "1Gi"`, `"volumeClaimSize" is missing`)
		}
	}
	p.c.Kubernetes.Claim = c
}
