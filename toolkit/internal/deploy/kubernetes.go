package deploy

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"software.sslmate.com/src/go-pkcs12"

	"github.com/microgw/microgw/toolkit/internal/diag"
)

// What of Kubernetes is written, in the order in which people write it. These
// are our own few types rather than those of its API, which are a hundred times
// as much code; a test holds what is written against the real ones.
type (
	object struct {
		APIVersion string            `yaml:"apiVersion"`
		Kind       string            `yaml:"kind"`
		Metadata   metadata          `yaml:"metadata"`
		Type       string            `yaml:"type,omitempty"`
		Spec       any               `yaml:"spec,omitempty"`
		Data       map[string]string `yaml:"data,omitempty"`
		BinaryData map[string]string `yaml:"binaryData,omitempty"`
	}
	metadata struct {
		Name        string            `yaml:"name,omitempty"`
		Labels      map[string]string `yaml:"labels,omitempty"`
		Annotations map[string]string `yaml:"annotations,omitempty"`
	}
	deploymentSpec struct {
		Replicas *int        `yaml:"replicas,omitempty"`
		Selector selector    `yaml:"selector"`
		Strategy strategy    `yaml:"strategy"`
		Template podTemplate `yaml:"template"`
	}
	selector struct {
		MatchLabels map[string]string `yaml:"matchLabels"`
	}
	strategy struct {
		RollingUpdate rollingUpdate `yaml:"rollingUpdate"`
	}
	rollingUpdate struct {
		MaxSurge       int `yaml:"maxSurge"`
		MaxUnavailable int `yaml:"maxUnavailable"`
	}
	podTemplate struct {
		Metadata metadata `yaml:"metadata"`
		Spec     podSpec  `yaml:"spec"`
	}
	podSpec struct {
		AutomountServiceAccountToken bool        `yaml:"automountServiceAccountToken"`
		EnableServiceLinks           bool        `yaml:"enableServiceLinks"`
		ImagePullSecrets             []named     `yaml:"imagePullSecrets,omitempty"`
		SecurityContext              podSecurity `yaml:"securityContext"`
		TerminationGracePeriod       int         `yaml:"terminationGracePeriodSeconds"`
		Containers                   []container `yaml:"containers"`
		Volumes                      []volume    `yaml:"volumes,omitempty"`
	}
	named struct {
		Name string `yaml:"name"`
	}
	podSecurity struct {
		RunAsNonRoot   bool    `yaml:"runAsNonRoot"`
		RunAsUser      int     `yaml:"runAsUser"`
		RunAsGroup     int     `yaml:"runAsGroup"`
		FSGroup        int     `yaml:"fsGroup"`
		SeccompProfile seccomp `yaml:"seccompProfile"`
	}
	seccomp struct {
		Type string `yaml:"type"`
	}
	container struct {
		Name            string            `yaml:"name"`
		Image           string            `yaml:"image"`
		ImagePullPolicy string            `yaml:"imagePullPolicy"`
		Args            []string          `yaml:"args,omitempty"`
		Env             []variable        `yaml:"env"`
		Ports           []containerPort   `yaml:"ports"`
		LivenessProbe   *probe            `yaml:"livenessProbe,omitempty"`
		ReadinessProbe  *probe            `yaml:"readinessProbe,omitempty"`
		Lifecycle       lifecycle         `yaml:"lifecycle"`
		Resources       resources         `yaml:"resources"`
		SecurityContext containerSecurity `yaml:"securityContext"`
		VolumeMounts    []mount           `yaml:"volumeMounts,omitempty"`
	}
	variable struct {
		Name      string                       `yaml:"name"`
		Value     string                       `yaml:"value,omitempty"`
		ValueFrom map[string]map[string]string `yaml:"valueFrom,omitempty"`
	}
	containerPort struct {
		Name          string `yaml:"name"`
		ContainerPort int    `yaml:"containerPort"`
	}
	probe struct {
		HTTPGet             httpGet `yaml:"httpGet"`
		InitialDelaySeconds int     `yaml:"initialDelaySeconds,omitempty"`
		PeriodSeconds       int     `yaml:"periodSeconds"`
		TimeoutSeconds      int     `yaml:"timeoutSeconds"`
	}
	httpGet struct {
		Path   string `yaml:"path"`
		Port   string `yaml:"port"`
		Scheme string `yaml:"scheme,omitempty"`
	}
	lifecycle struct {
		PreStop preStop `yaml:"preStop"`
	}
	preStop struct {
		Sleep sleep `yaml:"sleep"`
	}
	sleep struct {
		Seconds int `yaml:"seconds"`
	}
	resources struct {
		Requests map[string]string `yaml:"requests,omitempty"`
		Limits   map[string]string `yaml:"limits,omitempty"`
	}
	containerSecurity struct {
		AllowPrivilegeEscalation bool         `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool         `yaml:"readOnlyRootFilesystem"`
		Capabilities             capabilities `yaml:"capabilities"`
	}
	capabilities struct {
		Drop []string `yaml:"drop"`
	}
	mount struct {
		Name      string `yaml:"name"`
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly,omitempty"`
	}
	volume struct {
		Name      string        `yaml:"name"`
		ConfigMap *named        `yaml:"configMap,omitempty"`
		Secret    *secretVolume `yaml:"secret,omitempty"`
		Claim     *claimVolume  `yaml:"persistentVolumeClaim,omitempty"`
	}
	secretVolume struct {
		SecretName string `yaml:"secretName"`
	}
	claimVolume struct {
		ClaimName string `yaml:"claimName"`
		ReadOnly  bool   `yaml:"readOnly,omitempty"`
	}
	serviceSpec struct {
		Type     string            `yaml:"type"`
		Selector map[string]string `yaml:"selector"`
		Ports    []servicePortSpec `yaml:"ports"`
	}
	servicePortSpec struct {
		Name        string `yaml:"name"`
		Port        int    `yaml:"port"`
		TargetPort  string `yaml:"targetPort"`
		AppProtocol string `yaml:"appProtocol"`
	}
	ingressSpec struct {
		Class string        `yaml:"ingressClassName"`
		TLS   []ingressTLS  `yaml:"tls,omitempty"`
		Rules []ingressRule `yaml:"rules"`
	}
	ingressTLS struct {
		Hosts      []string `yaml:"hosts,omitempty"`
		SecretName string   `yaml:"secretName"`
	}
	ingressRule struct {
		Host string      `yaml:"host,omitempty"`
		HTTP ingressHTTP `yaml:"http"`
	}
	ingressHTTP struct {
		Paths []ingressPath `yaml:"paths"`
	}
	ingressPath struct {
		Path     string  `yaml:"path"`
		PathType string  `yaml:"pathType"`
		Backend  backend `yaml:"backend"`
	}
	backend struct {
		Service backendService `yaml:"service"`
	}
	backendService struct {
		Name string `yaml:"name"`
		Port named  `yaml:"port"`
	}
	hpaSpec struct {
		Target  scaleTarget `yaml:"scaleTargetRef"`
		Min     int         `yaml:"minReplicas"`
		Max     int         `yaml:"maxReplicas"`
		Metrics []metric    `yaml:"metrics"`
	}
	scaleTarget struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string `yaml:"kind"`
		Name       string `yaml:"name"`
	}
	metric struct {
		Type     string         `yaml:"type"`
		Resource resourceMetric `yaml:"resource"`
	}
	resourceMetric struct {
		Name   string       `yaml:"name"`
		Target metricTarget `yaml:"target"`
	}
	metricTarget struct {
		Type               string `yaml:"type"`
		AverageUtilization int    `yaml:"averageUtilization"`
	}
	claimSpec struct {
		AccessModes []string  `yaml:"accessModes"`
		Resources   resources `yaml:"resources"`
	}
)

// preStopSeconds is how long a pod goes on before it is told to stop: until then
// the last of those who send requests has heard that it will.
const preStopSeconds = 5

// pod is what is collected for the deployment while the rest is made.
type pod struct {
	l           *diag.List
	mounts      []mount
	volumes     []volume
	annotations map[string]string
}

func (g *generator) kubernetes() {
	k := &g.Config.Kubernetes
	p := &pod{l: g.l, annotations: map[string]string{}}
	if g.Digest != "" {
		p.annotations["micro-gw/artifact"] = g.Digest
	}
	secrets, objects := g.dataParts(p)
	if c := k.Claim; c.Enabled {
		objects = append(objects, object{
			APIVersion: "v1", Kind: "PersistentVolumeClaim", Metadata: g.meta(c.Name, nil, nil),
			Spec: claimSpec{[]string{c.AccessMode}, resources{Requests: map[string]string{"storage": c.Size}}},
		})
		p.mount(c.at, c.MountPath, c.ReadOnly, volume{Name: "volume", Claim: &claimVolume{c.Name, c.ReadOnly}})
	}
	if k.Deployment.Enabled {
		objects = append(objects, g.deployment(p))
	}
	for _, s := range k.Services {
		objects = append(objects, g.service(s))
	}
	for _, in := range k.Ingresses {
		tls := ""
		if in.TLS {
			tls = in.Name + "-tls"
			if in.KeyStore.text == "" {
				g.l.Notef(in.at, "the ingress takes its certificate from a secret %q, which has to be made: kubectl create secret tls %s --cert=FILE --key=FILE", tls, tls)
			} else if s, ok := g.tlsSecret(in, tls); ok {
				secrets = append(secrets, s)
			}
		}
		objects = append(objects, g.ingress(in, tls))
	}
	if h := k.HPA; h.Enabled {
		objects = append(objects, object{
			APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler", Metadata: g.meta(h.Name, h.Labels, nil),
			Spec: hpaSpec{
				Target: scaleTarget{"apps/v1", "Deployment", k.Deployment.Name}, Min: h.Min, Max: h.Max,
				Metrics: []metric{{"Resource", resourceMetric{"cpu", metricTarget{"Utilization", h.CPU}}}},
			},
		})
	}

	name := "kubernetes/" + slug(g.Project)
	// Secrets are never in the file of the rest, which people commit and mail.
	if len(secrets) > 0 {
		g.add(name+"-secret.yaml", g.yaml(secrets...), 0o600)
	}
	switch {
	case len(objects) == 0:
	case k.Deployment.SingleYAML:
		g.add(name+".yaml", g.yaml(objects...), 0o644)
	default:
		for _, o := range objects {
			g.add("kubernetes/"+strings.ToLower(o.Kind)+"-"+o.Metadata.Name+".yaml", g.yaml(o), 0o644)
		}
	}
}

// meta is the metadata of an object: its labels are those of the pods and the
// author's.
func (g *generator) meta(name string, labels, annotations map[string]string) metadata {
	all := g.selector()
	maps.Copy(all, labels)
	return metadata{name, all, annotations}
}

func (g *generator) selector() map[string]string {
	return map[string]string{labelApp: slug(g.Project), labelComponent: "gateway"}
}

func (p *pod) mount(at diag.At, path string, readOnly bool, v volume) {
	if slices.ContainsFunc(p.mounts, func(m mount) bool { return m.MountPath == path }) {
		p.l.Errorf(at, "something else is mounted at %s already", path)
		return
	}
	p.mounts = append(p.mounts, mount{v.Name, path, readOnly})
	p.volumes = append(p.volumes, v)
}

// dataParts makes the secrets and config maps, and mounts them.
func (g *generator) dataParts(p *pod) (secrets, configMaps []object) {
	k := &g.Config.Kubernetes
	if k.Conf.text != "" {
		data, plain, ok := g.conf(k.Conf)
		name := slug(g.Project) + "-conf"
		switch {
		case !ok:
		case len(plain) > 0:
			g.l.WarnHint(k.Conf.at, `write "${env:NAME}" there, and give the variable from a secret`,
				"%s has secrets in it (%s), so it becomes a Secret and no ConfigMap", k.Conf.text, strings.Join(plain, ", "))
			s := g.secret(name, "Opaque", map[string][]byte{confName: data})
			secrets = append(secrets, s)
			p.mount(k.Conf.at, confFolder, true, volume{Name: "conf", Secret: &secretVolume{name}})
		default:
			configMaps = append(configMaps, g.configMap(name, map[string][]byte{confName: data}))
			p.mount(k.Conf.at, confFolder, true, volume{Name: "conf", ConfigMap: &named{name}})
			p.annotations["micro-gw/conf"] = "sha256:" + sum(data)
		}
	}
	var sums [][]byte
	for i, d := range k.ConfigMaps {
		files, ok := g.dataFiles(d, true)
		if !ok {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			sums = append(sums, []byte(name), files[name])
		}
		configMaps = append(configMaps, g.configMap(d.Name, files))
		p.mount(d.at, d.MountPath, d.ReadOnly, volume{Name: "config-" + strconv.Itoa(i+1), ConfigMap: &named{d.Name}})
	}
	if len(sums) > 0 {
		p.annotations["micro-gw/config"] = "sha256:" + sum(sums...)
	}
	for i, d := range k.Secrets {
		files, ok := g.dataFiles(d, false)
		if !ok {
			continue
		}
		s := g.secret(d.Name, "Opaque", files)
		secrets = append(secrets, s)
		p.mount(d.at, d.MountPath, d.ReadOnly, volume{Name: "secret-" + strconv.Itoa(i+1), Secret: &secretVolume{d.Name}})
	}
	return secrets, configMaps
}

// dataFiles reads the files of a secret or config map. Their names are the keys.
func (g *generator) dataFiles(d Data, public bool) (map[string][]byte, bool) {
	files, size, good := map[string][]byte{}, 0, true
	for _, f := range d.Files {
		data, ok := g.read(f, maxObject)
		if !ok {
			good = false
			continue
		}
		name := filepath.Base(filepath.FromSlash(f.text))
		size += len(data)
		switch {
		case !dataKey.MatchString(name):
			g.l.ErrorHint(f.at, `letters, digits, ".", "_" and "-" are allowed`, "%q cannot be the name of a file there", name)
		case files[name] != nil:
			g.l.Errorf(f.at, "there is a file %q already: folders do not count", name)
		case size > maxObject:
			g.l.Errorf(f.at, "all in all more than 1 MiB, which is the most that Kubernetes takes")
		case public && private(data):
			g.l.ErrorHint(f.at, "put it into kubernetes.kubernetesSecret.secrets", "%s holds a private key, and a ConfigMap is no secret", f.text)
		default:
			if public && keyStore(name) {
				g.l.WarnHint(f.at, "put it into kubernetes.kubernetesSecret.secrets if it has private keys", "%s is a key store, and a ConfigMap is no secret", f.text)
			}
			files[name] = data
			continue
		}
		good = false
	}
	return files, good
}

func (g *generator) configMap(name string, files map[string][]byte) object {
	o := object{APIVersion: "v1", Kind: "ConfigMap", Metadata: g.meta(name, nil, nil)}
	for file, data := range files {
		into := &o.Data
		text := string(data)
		if !utf8.Valid(data) || bytes.ContainsFunc(data, func(r rune) bool { return diag.Unprintable(r) && r != '\n' && r != '\t' && r != '\r' }) {
			into, text = &o.BinaryData, base64.StdEncoding.EncodeToString(data)
		}
		if *into == nil {
			*into = map[string]string{}
		}
		(*into)[file] = text
	}
	return o
}

func (g *generator) secret(name, kind string, files map[string][]byte) object {
	o := object{APIVersion: "v1", Kind: "Secret", Metadata: g.meta(name, nil, nil), Type: kind, Data: map[string]string{}}
	for file, data := range files {
		o.Data[file] = base64.StdEncoding.EncodeToString(data)
	}
	return o
}

// tlsSecret takes key and certificates out of a key store.
func (g *generator) tlsSecret(in Ingress, name string) (object, bool) {
	data, ok := g.read(in.KeyStore, maxObject)
	password, known := g.expand(in.Password)
	if !ok || !known {
		return object{}, false
	}
	if bytes.HasPrefix(data, []byte{0xfe, 0xed, 0xfe, 0xed}) {
		g.l.ErrorHint(in.KeyStore.at, "keytool -importkeystore -srckeystore "+in.KeyStore.text+" -destkeystore NEW.p12 -deststoretype PKCS12",
			"%s is a Java key store (JKS); PKCS#12 is read", in.KeyStore.text)
		return object{}, false
	}
	key, leaf, chain, err := pkcs12.DecodeChain(data, password)
	if err != nil {
		g.l.Errorf(in.KeyStore.at, "%s: %v", in.KeyStore.text, err)
		return object{}, false
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		g.l.Errorf(in.KeyStore.at, "%s: %v", in.KeyStore.text, err)
		return object{}, false
	}
	var certs []byte
	for _, c := range append([]*x509.Certificate{leaf}, chain...) {
		certs = append(certs, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	return g.secret(name, "kubernetes.io/tls", map[string][]byte{
		"tls.crt": certs,
		"tls.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
	}), true
}

func (g *generator) deployment(p *pod) object {
	k := &g.Config.Kubernetes
	d := &k.Deployment
	docker := &g.Config.Docker
	meta := g.meta(d.Name, d.Labels, nil)
	template := meta
	template.Name = ""
	if len(p.annotations) > 0 {
		template.Annotations = p.annotations
	}
	c := container{
		Name: "gateway", Image: cmp.Or(d.Image, docker.Image()), ImagePullPolicy: d.PullPolicy,
		// The kubelet asks from outside of the pod, which the default, an address
		// of the loopback interface, does not answer. No service leads there.
		Env: []variable{{Name: "admin_address", Value: fmt.Sprintf("0.0.0.0:%d", portAdmin)}},
		Ports: []containerPort{
			{"http", portHTTP}, {"https", portHTTPS}, {"admin", portAdmin},
		},
		LivenessProbe:  d.Liveness.make("/health"),
		ReadinessProbe: d.Readiness.make("/ready"),
		Lifecycle:      lifecycle{preStop{sleep{preStopSeconds}}},
		Resources: resources{
			Requests: withDefaults(d.Requests, map[string]string{"cpu": "250m", "memory": "64Mi"}),
			// No limit of the processor time: it would make requests wait while
			// the machine has nothing to do.
			Limits: withDefaults(d.Limits, map[string]string{"memory": "256Mi"}),
		},
		SecurityContext: containerSecurity{ReadOnlyRootFilesystem: true, Capabilities: capabilities{[]string{"ALL"}}},
		VolumeMounts:    p.mounts,
	}
	for _, e := range d.Env {
		v := variable{Name: e.name, Value: e.value}
		switch e.from {
		case "fieldRef":
			v.ValueFrom = map[string]map[string]string{e.from: {"fieldPath": e.key}}
		case "secretKeyRef", "configMapKeyRef":
			v.ValueFrom = map[string]map[string]string{e.from: {"name": e.ref, "key": e.key}}
		}
		if i := slices.IndexFunc(c.Env, func(have variable) bool { return have.Name == v.Name }); i >= 0 {
			c.Env[i] = v
			continue
		}
		c.Env = append(c.Env, v)
	}
	spec := deploymentSpec{
		Selector: selector{g.selector()},
		Strategy: strategy{rollingUpdate{MaxSurge: 1}},
		Template: podTemplate{template, podSpec{
			SecurityContext: podSecurity{true, user, user, user, seccomp{"RuntimeDefault"}},
			// preStop, then the runtime's own 20 s of grace, then some air.
			TerminationGracePeriod: preStopSeconds + 25,
			Containers:             []container{c},
			Volumes:                p.volumes,
		}},
	}
	if !docker.Enabled { // else they are in the image
		spec.Template.Spec.Containers[0].Args = docker.Args
	}
	for _, s := range d.PullSecrets {
		spec.Template.Spec.ImagePullSecrets = append(spec.Template.Spec.ImagePullSecrets, named{s})
	}
	if !k.HPA.Enabled { // which owns the number
		spec.Replicas = &d.Replicas
	}
	return object{APIVersion: "apps/v1", Kind: "Deployment", Metadata: meta, Spec: spec}
}

func withDefaults(m, defaults map[string]string) map[string]string {
	all := maps.Clone(defaults)
	maps.Copy(all, m)
	return all
}

// make is a probe of a path of the admin port. The API ports only answer
// /health.
func (p *Probe) make(path string) *probe {
	if !p.Enabled {
		return nil
	}
	get := httpGet{path, "admin", ""}
	switch p.Port {
	case portHTTP:
		get = httpGet{"/health", "http", ""}
	case portHTTPS:
		get = httpGet{"/health", "https", "HTTPS"}
	}
	return &probe{get, p.Delay, p.Period, 3}
}

func (g *generator) service(s Service) object {
	spec := serviceSpec{Type: s.Type, Selector: g.selector()}
	for _, p := range s.Ports {
		spec.Ports = append(spec.Ports, servicePortSpec{p.name, p.port, p.name, p.name})
	}
	return object{APIVersion: "v1", Kind: "Service", Metadata: g.meta(s.Name, s.Labels, nil), Spec: spec}
}

func (g *generator) ingress(in Ingress, tls string) object {
	annotations := map[string]string{}
	port := "http"
	if in.HTTPS {
		port = "https"
		if in.Class == "nginx" {
			annotations["nginx.ingress.kubernetes.io/backend-protocol"] = "HTTPS"
		}
	}
	path := ingressPath{Path: in.Path, PathType: "Prefix"}
	if in.Target != "" {
		// nginx puts what the second parentheses match behind the target.
		path = ingressPath{Path: strings.TrimSuffix(in.Path, "/") + "(/|$)(.*)", PathType: "ImplementationSpecific"}
		annotations["nginx.ingress.kubernetes.io/use-regex"] = "true"
		annotations["nginx.ingress.kubernetes.io/rewrite-target"] = strings.TrimSuffix(in.Target, "/") + "/$2"
	}
	maps.Copy(annotations, in.Annotations)
	service, _ := g.Config.Kubernetes.serviceFor(port)
	path.Backend = backend{backendService{service, named{port}}}
	spec := ingressSpec{Class: in.Class, Rules: []ingressRule{{in.Host, ingressHTTP{[]ingressPath{path}}}}}
	if tls != "" {
		t := ingressTLS{SecretName: tls}
		if in.Host != "" {
			t.Hosts = []string{in.Host}
		}
		spec.TLS = []ingressTLS{t}
	}
	return object{APIVersion: "networking.k8s.io/v1", Kind: "Ingress", Metadata: g.meta(in.Name, in.Labels, annotations), Spec: spec}
}

// yaml writes objects into one file.
func (g *generator) yaml(objects ...object) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Made by micro-gw build, and made anew by the next one: what to change is in\n# %s.\n", ConfigName)
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	for _, o := range objects {
		// Strings, numbers and maps of ours: it cannot fail, nor can a buffer.
		if err := e.Encode(o); err != nil {
			panic(err)
		}
	}
	if err := e.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}
