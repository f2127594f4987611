// Package kubecheck holds the YAML that micro-gw writes for Kubernetes against
// the types of Kubernetes' own API.
//
// It is in this module because those types, with what they need, are larger than
// the toolkit: the product writes its few objects with types of its own, and
// must not import k8s.io (the toolkit's boundary test says so). Kubernetes'
// schemas as OpenAPI come only with its whole source, ten times as much again;
// the types say the same of names and shapes. What they do not say (what is
// required, and what must fit together) is asked for here.
package kubecheck

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const golden = "../../toolkit/internal/deploy/testdata/golden"

// cluster is what one project would make.
type cluster struct {
	deployments []*appsv1.Deployment
	services    []*corev1.Service
	ingresses   []*networkingv1.Ingress
	scalers     []*autoscalingv2.HorizontalPodAutoscaler
	secrets     []*corev1.Secret
	configMaps  []*corev1.ConfigMap
	claims      []*corev1.PersistentVolumeClaim
}

func TestGolden(t *testing.T) {
	projects, err := filepath.Glob(golden + "/*")
	if err != nil || len(projects) < 4 {
		t.Fatal(projects, err)
	}
	kinds := map[string]bool{}
	for _, dir := range projects {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			files, err := filepath.Glob(dir + "/made/kubernetes/*.yaml")
			if err != nil || len(files) == 0 {
				t.Fatal(files, err)
			}
			c := &cluster{}
			for _, file := range files {
				for _, doc := range documents(t, file) {
					kinds[c.add(t, file, doc)] = true
				}
			}
			c.check(t)
		})
	}
	if len(kinds) != 7 {
		t.Errorf("the projects make %v", kinds)
	}
}

func documents(t *testing.T, file string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var docs [][]byte
	for r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return docs
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		docs = append(docs, doc)
	}
}

// add decodes a document strictly: a field that the API has not is an error.
func (c *cluster) add(t *testing.T, file string, doc []byte) string {
	t.Helper()
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(doc, &kind); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	var into metav1.Object
	switch kind.APIVersion + " " + kind.Kind {
	case "apps/v1 Deployment":
		c.deployments = append(c.deployments, new(appsv1.Deployment))
		into = c.deployments[len(c.deployments)-1]
	case "v1 Service":
		c.services = append(c.services, new(corev1.Service))
		into = c.services[len(c.services)-1]
	case "networking.k8s.io/v1 Ingress":
		c.ingresses = append(c.ingresses, new(networkingv1.Ingress))
		into = c.ingresses[len(c.ingresses)-1]
	case "autoscaling/v2 HorizontalPodAutoscaler":
		c.scalers = append(c.scalers, new(autoscalingv2.HorizontalPodAutoscaler))
		into = c.scalers[len(c.scalers)-1]
	case "v1 Secret":
		c.secrets = append(c.secrets, new(corev1.Secret))
		into = c.secrets[len(c.secrets)-1]
	case "v1 ConfigMap":
		c.configMaps = append(c.configMaps, new(corev1.ConfigMap))
		into = c.configMaps[len(c.configMaps)-1]
	case "v1 PersistentVolumeClaim":
		c.claims = append(c.claims, new(corev1.PersistentVolumeClaim))
		into = c.claims[len(c.claims)-1]
	default:
		t.Fatalf("%s: %s %s", file, kind.APIVersion, kind.Kind)
	}
	if err := yaml.UnmarshalStrict(doc, into); err != nil {
		t.Errorf("%s: %s: %v", file, kind.Kind, err)
	}
	if problems := validation.IsDNS1123Subdomain(into.GetName()); len(problems) > 0 {
		t.Errorf("%s: %s %q: %v", file, kind.Kind, into.GetName(), problems)
	}
	for k, v := range into.GetLabels() {
		if problems := append(validation.IsQualifiedName(k), validation.IsValidLabelValue(v)...); len(problems) > 0 {
			t.Errorf("%s: %s: label %s=%s: %v", file, kind.Kind, k, v, problems)
		}
	}
	for k := range into.GetAnnotations() {
		if problems := validation.IsQualifiedName(k); len(problems) > 0 {
			t.Errorf("%s: %s: annotation %s: %v", file, kind.Kind, k, problems)
		}
	}
	return kind.Kind
}

// check looks at what must fit together.
func (c *cluster) check(t *testing.T) {
	ports := map[string]bool{}
	var pod labels.Set
	for _, d := range c.deployments {
		pod = d.Spec.Template.Labels
		selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
		if err != nil || selector.Empty() || !selector.Matches(pod) {
			t.Errorf("deployment %s: the selector %v does not match its pods (%v)", d.Name, selector, err)
		}
		c.restricted(t, &d.Spec.Template.Spec)
		for _, p := range d.Spec.Template.Spec.Containers[0].Ports {
			if problems := validation.IsValidPortName(p.Name); len(problems) > 0 {
				t.Errorf("port %s: %v", p.Name, problems)
			}
			ports[p.Name] = true
		}
		c.container(t, d, ports)
		c.volumes(t, &d.Spec.Template.Spec)
	}
	for _, s := range c.services {
		if problems := validation.IsDNS1035Label(s.Name); len(problems) > 0 {
			t.Errorf("service %s: %v", s.Name, problems)
		}
		if len(s.Spec.Selector) == 0 || !labels.SelectorFromSet(s.Spec.Selector).Matches(pod) {
			t.Errorf("service %s selects %v, pods have %v", s.Name, s.Spec.Selector, pod)
		}
		for _, p := range s.Spec.Ports {
			if p.TargetPort.Type != intstr.String || !ports[p.TargetPort.StrVal] || p.TargetPort.StrVal == "admin" {
				t.Errorf("service %s: port %s", s.Name, p.TargetPort.String())
			}
		}
	}
	for _, in := range c.ingresses {
		for _, r := range in.Spec.Rules {
			for _, p := range r.HTTP.Paths {
				if p.PathType == nil || p.Path == "" || !c.serves(p.Backend.Service) {
					t.Errorf("ingress %s: path %+v", in.Name, p)
				}
			}
		}
		if len(in.Spec.Rules) == 0 || in.Spec.IngressClassName == nil {
			t.Errorf("ingress %s: %+v", in.Name, in.Spec)
		}
	}
	for _, h := range c.scalers {
		if ref := h.Spec.ScaleTargetRef; ref.Kind != "Deployment" || ref.APIVersion != "apps/v1" || !slices.ContainsFunc(c.deployments, func(d *appsv1.Deployment) bool {
			return d.Name == ref.Name && d.Spec.Replicas == nil && !d.Spec.Template.Spec.Containers[0].Resources.Requests.Cpu().IsZero()
		}) {
			t.Errorf("%s scales %+v", h.Name, ref)
		}
		if h.Spec.MaxReplicas < *h.Spec.MinReplicas || len(h.Spec.Metrics) != 1 || *h.Spec.Metrics[0].Resource.Target.AverageUtilization < 1 {
			t.Errorf("%s: %+v", h.Name, h.Spec)
		}
	}
	for _, s := range c.secrets {
		if s.Type == corev1.SecretTypeTLS && (len(s.Data["tls.crt"]) == 0 || len(s.Data["tls.key"]) == 0) || len(s.Data) == 0 {
			t.Errorf("secret %s has %d entries", s.Name, len(s.Data))
		}
	}
	for _, m := range c.configMaps {
		for key, text := range m.Data {
			if bytes.Contains([]byte(text), []byte("PRIVATE KEY")) || len(validation.IsConfigMapKey(key)) > 0 {
				t.Errorf("config map %s: %s", m.Name, key)
			}
		}
	}
	for _, p := range c.claims {
		if len(p.Spec.AccessModes) != 1 || p.Spec.Resources.Requests.Storage().IsZero() {
			t.Errorf("claim %s: %+v", p.Name, p.Spec)
		}
	}
}

// serves says whether there is such a port of such a service.
func (c *cluster) serves(b *networkingv1.IngressServiceBackend) bool {
	return b != nil && slices.ContainsFunc(c.services, func(s *corev1.Service) bool {
		return s.Name == b.Name && slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Name == b.Port.Name })
	})
}

// restricted is the Pod Security Standard of that name.
func (c *cluster) restricted(t *testing.T, spec *corev1.PodSpec) {
	s := spec.SecurityContext
	if s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || *s.RunAsUser == 0 || s.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		t.Errorf("pod: %+v", s)
	}
	if spec.HostNetwork || spec.HostPID || spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		t.Errorf("pod: %+v", spec)
	}
	for _, k := range spec.Containers {
		s := k.SecurityContext
		if s == nil || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || len(s.Capabilities.Add) > 0 {
			t.Errorf("container: %+v", s)
		}
	}
}

func (c *cluster) container(t *testing.T, d *appsv1.Deployment, ports map[string]bool) {
	k := d.Spec.Template.Spec.Containers[0]
	if k.Image == "" || k.Resources.Limits.Memory().IsZero() || k.Resources.Requests.Memory().Cmp(*k.Resources.Limits.Memory()) > 0 {
		t.Errorf("container: %s, %+v", k.Image, k.Resources)
	}
	for _, p := range []*corev1.Probe{k.LivenessProbe, k.ReadinessProbe} {
		if p != nil && (p.HTTPGet == nil || !ports[p.HTTPGet.Port.StrVal] || p.PeriodSeconds < 1 || p.TimeoutSeconds < 1) {
			t.Errorf("probe %+v", p)
		}
	}
	if pre := k.Lifecycle.PreStop.Sleep.Seconds; pre+20 > *d.Spec.Template.Spec.TerminationGracePeriodSeconds {
		t.Errorf("%d s until the stop, and 20 s after it, are more than the pod has", pre)
	}
	seen := map[string]bool{}
	for _, e := range k.Env {
		if seen[e.Name] || len(validation.IsEnvVarName(e.Name)) > 0 || e.Value != "" && e.ValueFrom != nil {
			t.Errorf("variable %+v", e)
		}
		seen[e.Name] = true
	}
}

// volumes are mounted, and what they hold is there, or is a secret that somebody
// else makes.
func (c *cluster) volumes(t *testing.T, spec *corev1.PodSpec) {
	mounted := map[string]bool{}
	for _, m := range spec.Containers[0].VolumeMounts {
		mounted[m.Name] = true
	}
	for _, v := range spec.Volumes {
		found := false
		switch {
		case v.ConfigMap != nil:
			found = slices.ContainsFunc(c.configMaps, func(m *corev1.ConfigMap) bool { return m.Name == v.ConfigMap.Name })
		case v.Secret != nil:
			found = slices.ContainsFunc(c.secrets, func(s *corev1.Secret) bool { return s.Name == v.Secret.SecretName })
		case v.PersistentVolumeClaim != nil:
			found = slices.ContainsFunc(c.claims, func(p *corev1.PersistentVolumeClaim) bool { return p.Name == v.PersistentVolumeClaim.ClaimName })
		}
		if !found || !mounted[v.Name] {
			t.Errorf("volume %+v", v)
		}
	}
	if len(mounted) != len(spec.Volumes) {
		t.Errorf("%d mounts, %d volumes", len(mounted), len(spec.Volumes))
	}
}
