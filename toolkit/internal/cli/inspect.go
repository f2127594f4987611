package cli

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/pkg/artifact"
	"github.com/microgw/microgw/pkg/signing"
	"github.com/microgw/microgw/schema/artifactpb"
	"github.com/microgw/microgw/toolkit/internal/compile"
	"github.com/microgw/microgw/toolkit/internal/diag"
)

const inspectLong = `Say what is inside an artifact: its APIs and operations, what each asks of a
caller, where calls go, what the runtime does with a call and in which order, and
what it was built from. The artifact is verified first, as a runtime does.

Endpoints are listed once, with a number that operations refer to.

With --ledger it says instead, for every keyword of the definitions, whether the
gateway enforces it.

Exit codes: 0 printed; 1 the file is not a good artifact; 2 wrong arguments.`

const inspectExamples = `  micro-gw inspect petstore/target/petstore.mgw
  micro-gw inspect petstore.mgw --output json | jq '.apis[].operations[].id'
  micro-gw inspect --ledger petstore.mgw`

func (a *app) inspectCommand() *cobra.Command {
	var (
		format      output
		ledger, all bool
	)
	cmd := &cobra.Command{
		Use:               "inspect FILE.mgw",
		Short:             "Say what is inside an artifact",
		Long:              inspectLong,
		Example:           inspectExamples,
		Args:              oneArtifact,
		ValidArgsFunction: completeArtifacts,
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := artifact.Open(args[0])
			if err != nil {
				return failed(err)
			}
			if ledger {
				return a.ledger(f.Artifact, format, all)
			}
			if all {
				return usage("", "--all goes with --ledger")
			}
			v := viewOf(f)
			if format == outputJSON {
				return a.printJSON(v)
			}
			return v.write(a.out)
		},
	}
	addOutput(cmd, &format)
	addLedger(cmd, &ledger, &all)
	return cmd
}

// oneArtifact is the arguments of commands that want an artifact.
func oneArtifact(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return usage("see "+help(cmd), "no artifact given")
	case len(args) > 1:
		return usage("see "+help(cmd), "one artifact at a time: unexpected %q", args[1])
	}
	return nil
}

func completeArtifacts(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{"mgw"}, cobra.ShellCompDirectiveFilterFileExt
}

// A view is an artifact for people and for programs. The JSON names are stable.
type view struct {
	File           string         `json:"file"`
	Project        string         `json:"project"`
	Format         uint32         `json:"format"`
	Size           int64          `json:"size"`
	Digest         string         `json:"digest"`
	Signer         string         `json:"signer,omitempty"`
	Toolkit        string         `json:"toolkit"`
	DevelopmentKey string         `json:"development_key,omitempty"`
	APIs           []apiView      `json:"apis"`
	Endpoints      []endpointView `json:"endpoints"`
	Policies       []policyView   `json:"policies"`
	Sources        []sourceView   `json:"sources"`
}

type apiView struct {
	ID         string          `json:"id"`
	Title      string          `json:"title"`
	Version    string          `json:"version"`
	BasePath   string          `json:"base_path"`
	Definition string          `json:"definition,omitempty"`
	Transports []string        `json:"transports"`
	Tier       string          `json:"tier,omitempty"` // its own; operations have theirs
	Operations []operationView `json:"operations"`
}

type operationView struct {
	ID         string   `json:"id"`
	Method     string   `json:"method"`
	Path       string   `json:"path"`
	Position   string   `json:"position,omitempty"`
	Security   string   `json:"security"`
	Production int      `json:"production,omitempty"` // number of an endpointView
	Sandbox    int      `json:"sandbox,omitempty"`
	Stages     []string `json:"stages"`
	Tier       string   `json:"tier,omitempty"`
	// In the order in which they are to run.
	RequestInterceptors  []string `json:"request_interceptors,omitempty"`
	ResponseInterceptors []string `json:"response_interceptors,omitempty"`
}

type endpointView struct {
	Number      int      `json:"number"`
	Name        string   `json:"name"`
	Environment string   `json:"environment"`
	Balance     string   `json:"balance"`
	URLs        []string `json:"urls"`
}

type policyView struct {
	Name     string `json:"name"`
	Kind     string `json:"kind"`
	Count    int64  `json:"count"`
	WindowMS int64  `json:"window_ms"`
	Burst    int64  `json:"burst,omitempty"`
	// CountBy is "header NAME", "claim NAME" or "client address".
	CountBy string `json:"count_by,omitempty"`
	// Shared is what happens when the shared counter fails.
	Shared string `json:"shared_on_failure,omitempty"`
	Shadow bool   `json:"shadow,omitempty"`
	Passes bool   `json:"passes_beyond_quota,omitempty"`
}

func policyOf(p *artifactpb.ThrottlePolicy) policyView {
	v := policyView{
		Name: p.GetName(), Kind: enum(p.GetKind(), "THROTTLE_KIND_"), Count: p.GetCount(), WindowMS: p.GetWindowMs(),
		Burst: p.GetBurst(), Shadow: p.GetShadow(),
		Passes: p.GetKind() == artifactpb.ThrottleKind_THROTTLE_KIND_SUBSCRIPTION && !p.GetStopOnQuota(),
	}
	switch k := p.GetKey().GetKind().(type) {
	case *artifactpb.ThrottleKey_Header:
		v.CountBy = "header " + k.Header
	case *artifactpb.ThrottleKey_Claim:
		v.CountBy = "claim " + k.Claim
	case *artifactpb.ThrottleKey_ClientAddress:
		v.CountBy = "client address"
	}
	if p.GetShared() != nil {
		v.Shared = enum(p.GetShared().GetOnFailure(), "COUNTER_FAILURE_")
	}
	return v
}

// String is what a policy allows, in words.
func (p policyView) String() string {
	s := fmt.Sprintf("%d in %g s", p.Count, float64(p.WindowMS)/1000)
	if p.Burst > 0 {
		s += fmt.Sprintf(", %d at once", p.Burst)
	}
	if p.CountBy != "" {
		s += ", by " + p.CountBy
	}
	if p.Shared != "" {
		s += ", shared (" + p.Shared + " if that fails)"
	}
	if p.Passes {
		s += ", marks only"
	}
	if p.Shadow {
		s += ", shadow"
	}
	return s
}

type sourceView struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// enum is the word of a value of an enum: PRODUCTION of ENVIRONMENT_PRODUCTION.
func enum(value fmt.Stringer, prefix string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(value.String(), prefix), "_", " "))
}

// viewOf relies on what artifact.Open has verified: every index is in range.
func viewOf(f *artifact.File) view {
	v := view{
		File: f.Path, Project: f.GetProject(), Format: f.Format, Size: f.Size,
		Digest: digest(f), Toolkit: f.GetBuild().GetToolkitVersion(),
		APIs: []apiView{}, Endpoints: []endpointView{}, Policies: []policyView{}, Sources: []sourceView{},
	}
	if f.Signer != nil {
		v.Signer = signing.ID(f.Signer)
	}
	if len(f.GetDevelopmentKey()) > 0 {
		var jwk struct {
			ID string `json:"kid"`
		}
		// A key that is no JWK is the runtime's to refuse, if it comes to that.
		_ = json.Unmarshal(f.GetDevelopmentKey(), &jwk)
		v.DevelopmentKey = jwk.ID
		if v.DevelopmentKey == "" {
			v.DevelopmentKey = "(unnamed)"
		}
	}
	for _, api := range f.GetApis() {
		av := apiView{
			ID: api.GetId(), Title: api.GetTitle(), Version: api.GetVersion(), BasePath: api.GetBasePath(),
			Tier: tierName(f.Artifact, api.GetThrottlePolicy()), Transports: []string{}, Operations: []operationView{},
		}
		if docs := f.GetDocuments(); int(api.GetDocument()) < len(docs) {
			if src := docs[api.GetDocument()].GetSource(); int(src) < len(f.GetSources()) {
				av.Definition = f.GetSources()[src].GetPath()
			}
		}
		for _, t := range api.GetTransports() {
			av.Transports = append(av.Transports, enum(t, "TRANSPORT_"))
		}
		for _, op := range api.GetOperations() {
			ov := operationView{
				ID: op.GetId(), Method: op.GetMethod(), Path: op.GetPath(),
				Security:   securityWords(f.Artifact, op.GetSecurity()),
				Production: int(op.GetProductionCluster()), Sandbox: int(op.GetSandboxCluster()),
				Stages: []string{}, Tier: tierName(f.Artifact, op.GetThrottlePolicy()),
				RequestInterceptors:  interceptorNames(f.Artifact, op.GetRequestInterceptors()),
				ResponseInterceptors: interceptorNames(f.Artifact, op.GetResponseInterceptors()),
			}
			if p := op.GetPosition(); p.GetLine() > 0 && int(p.GetSource()) < len(f.GetSources()) {
				ov.Position = fmt.Sprintf("%s:%d:%d", f.GetSources()[p.GetSource()].GetPath(), p.GetLine(), p.GetColumn())
			}
			for _, s := range op.GetStages() {
				ov.Stages = append(ov.Stages, stageWords(s))
			}
			av.Operations = append(av.Operations, ov)
		}
		v.APIs = append(v.APIs, av)
	}
	for i, c := range f.GetClusters() {
		ev := endpointView{Number: i + 1, Name: c.GetName(), URLs: []string{},
			Environment: enum(c.GetEnvironment(), "ENVIRONMENT_"), Balance: enum(c.GetBalance(), "BALANCE_")}
		for _, ep := range c.GetEndpoints() {
			url := ep.GetUrl()
			if ep.GetEtcdKey() != "" {
				url = fmt.Sprintf("etcd(%s,%s)", ep.GetEtcdKey(), url)
			}
			ev.URLs = append(ev.URLs, url)
		}
		v.Endpoints = append(v.Endpoints, ev)
	}
	for _, p := range f.GetThrottlePolicies() {
		v.Policies = append(v.Policies, policyOf(p))
	}
	for _, s := range f.GetSources() {
		v.Sources = append(v.Sources, sourceView{s.GetPath(), hex.EncodeToString(s.GetSha256())})
	}
	return v
}

// securityWords says what an operation asks of a caller.
func securityWords(a *artifactpb.Artifact, s *artifactpb.Security) string {
	if s.GetDisabled() {
		return "open"
	}
	var alternatives []string
	for _, alt := range s.GetAlternatives() {
		var all []string
		for _, r := range alt.GetRequirements() {
			scheme := "unknown scheme"
			if int(r.GetScheme()) < len(a.GetSecuritySchemes()) {
				scheme = schemeWords(a.GetSecuritySchemes()[r.GetScheme()])
			}
			switch scopes := r.GetScopes(); {
			case len(scopes) == 1:
				scheme += " with scope " + scopes[0]
			case len(scopes) > 1 && r.GetAllScopes():
				scheme += " with scopes " + strings.Join(scopes, " and ")
			case len(scopes) > 1:
				scheme += " with scope " + strings.Join(scopes, " or ")
			}
			all = append(all, scheme)
		}
		alternatives = append(alternatives, strings.Join(all, " and "))
	}
	return strings.Join(alternatives, "; or ")
}

// schemeWords is what a scheme asks for. Marked are those that the artifact has
// for later versions: no caller gets in by them today.
func schemeWords(s *artifactpb.SecurityScheme) string {
	words := "unknown scheme"
	switch k := s.GetKind().(type) {
	case *artifactpb.SecurityScheme_Oauth2:
		words = "token"
	case *artifactpb.SecurityScheme_OpenIdConnect:
		words = "OpenID Connect token"
	case *artifactpb.SecurityScheme_Basic:
		words = "user and password"
	case *artifactpb.SecurityScheme_ApiKey:
		words = fmt.Sprintf("API key in %s %s", enum(k.ApiKey.GetIn(), "LOCATION_"), k.ApiKey.GetName())
	case *artifactpb.SecurityScheme_MutualTls:
		words = "client certificate"
	}
	if !compile.ArtifactScheme(s).Enforced() {
		words += " (not accepted yet)"
	}
	return words
}

// tierName is the name of a policy by its index plus one.
func tierName(a *artifactpb.Artifact, i uint32) string {
	if i == 0 {
		return ""
	}
	return a.GetThrottlePolicies()[i-1].GetName()
}

func interceptorNames(a *artifactpb.Artifact, list []uint32) []string {
	var names []string
	for _, i := range list {
		names = append(names, a.GetInterceptors()[i].GetName())
	}
	return names
}

// stageWords is a stage's name, with what it checks if that fits in a word.
func stageWords(s *artifactpb.Stage) string {
	if k, ok := s.GetKind().(*artifactpb.Stage_Scope); ok {
		between := "|"
		if k.Scope.GetAll() {
			between = "&"
		}
		return fmt.Sprintf("%s(%s)", s.GetName(), strings.Join(k.Scope.GetScopes(), between))
	}
	return s.GetName()
}

func (v view) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(cells ...string) {
		for i, c := range cells {
			cells[i] = diag.Printable(c)
		}
		fmt.Fprintln(t, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
	}
	row("artifact", v.File)
	row("project", v.Project)
	row("format", fmt.Sprint(v.Format))
	row("size", bytesize(v.Size))
	row("digest", v.Digest)
	row("toolkit", v.Toolkit)
	if v.Signer != "" {
		row("signed by", v.Signer+" (micro-gw verify --key says whether it is yours)")
	}
	if v.DevelopmentKey != "" {
		row("development key", v.DevelopmentKey+" (counts in development mode only)")
	}
	for _, api := range v.APIs {
		row()
		row("API " + api.Title + " " + api.Version)
		row("base path", api.BasePath)
		row("transports", strings.Join(api.Transports, ", "))
		row("definition", api.Definition)
		row("operations", fmt.Sprint(len(api.Operations)))
		row()
		row("", "METHOD", "PATH", "SECURITY", "STAGES", "ENDPOINT")
		for _, op := range api.Operations {
			row("", op.Method, op.Path, op.Security, strings.Join(op.Stages, ", "), endpointNumbers(op))
		}
	}
	row()
	row("endpoints")
	for _, e := range v.Endpoints {
		row("", fmt.Sprint(e.Number), e.Environment, e.Balance, strings.Join(e.URLs, ", "), e.Name)
	}
	if len(v.Policies) > 0 {
		row()
		row("policies")
		for _, p := range v.Policies {
			row("", p.Name, p.Kind, p.String())
		}
	}
	row()
	row("sources")
	for _, s := range v.Sources {
		row("", s.SHA256, s.Path)
	}
	if err := t.Flush(); err != nil {
		return failed(err)
	}
	return nil
}

func endpointNumbers(op operationView) string {
	switch {
	case op.Sandbox == 0:
		return fmt.Sprint(op.Production)
	case op.Production == 0:
		return fmt.Sprintf("sandbox %d", op.Sandbox)
	}
	return fmt.Sprintf("%d, sandbox %d", op.Production, op.Sandbox)
}
