// Package policies reads a project's policy.yaml: how often what may be called.
//
// The format is WSO2's, with keys of our own that none of its files has: see
// docs/policies.md. What differs: names are taken as they are written (the
// original rewrote some characters, after which no tier matched them), counts
// must be positive, windows may be given in seconds, and unknown keys are
// errors.
//
// schema/policy.schema.json says the same to editors, as far as a JSON Schema
// can say it; a test holds the two together.
package policies

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/tree"
)

// Kind says what a policy limits.
type Kind uint8

const (
	Resource     Kind = iota // one operation; named by x-wso2-throttling-tier
	Application              // all calls of an application; named by the token
	Subscription             // an application's calls to an API; named by the token
)

func (k Kind) String() string {
	return [...]string{"resource", "application", "subscription"}[k]
}

// listKeys are the top-level keys, in the order of Kind.
var listKeys = []string{"resourcePolicies", "applicationPolicies", "subscriptionPolicies"}

// A Policy allows Count calls per window.
type Policy struct {
	Name         string
	Kind         Kind
	Count        int64
	WindowMillis int64
	// StopOnQuota is false for a subscription whose calls are only marked once
	// they exceed the count.
	StopOnQuota bool
	// Burst is 0, or how many calls pass at once while the rest of the count is
	// spread evenly over the window.
	Burst int64
	// CountBy is what calls of a resource policy are told apart by; the zero
	// value is nothing.
	CountBy CountBy
	// Failure is what happens while the counter that all gateways share cannot
	// be reached; "" if each gateway counts for itself.
	Failure Failure
	// Shadow lets calls pass that the policy would refuse, and only reports
	// them.
	Shadow bool
	At     diag.At
}

// CountBy tells calls apart. At most one of its fields is set.
type CountBy struct {
	Header        string // the value of a header field, by its lower-case name
	Claim         string // the value of a claim of the caller's token
	ClientAddress bool   // the address of the client
}

// Failure is a value of onCounterFailure.
type Failure string

const (
	Local  Failure = "local"  // each gateway counts for itself meanwhile
	Open   Failure = "open"   // calls pass
	Closed Failure = "closed" // calls are refused
)

// A File is a policy file.
type File struct {
	Name string
	// Policies in file order, kind by kind.
	Policies []Policy
}

// Find is the index of a policy, or -1. A nil file has none.
func (f *File) Find(k Kind, name string) int {
	if f == nil {
		return -1
	}
	return slices.IndexFunc(f.Policies, func(p Policy) bool { return p.Kind == k && p.Name == name })
}

// Names are the names of all policies of a kind.
func (f *File) Names(k Kind) []string {
	var names []string
	if f != nil {
		for _, p := range f.Policies {
			if p.Kind == k {
				names = append(names, p.Name)
			}
		}
	}
	return names
}

// units in milliseconds. The standard ones of WSO2 begin at "min".
var units = map[string]int64{
	"sec":   1000,
	"min":   60_000,
	"hour":  3_600_000,
	"day":   24 * 3_600_000,
	"week":  7 * 24 * 3_600_000,
	"month": 30 * 24 * 3_600_000,
	"year":  365 * 24 * 3_600_000,
}

var unitNames = []string{"sec", "min", "hour", "day", "week", "month", "year"}

const (
	// maxWindow is a hundred years.
	maxWindow = 100 * 365 * 24 * 3_600_000
	// maxCount keeps what a runtime computes with counts far from overflow, and
	// is a number that JSON carries exactly.
	maxCount = 1_000_000_000_000_000
	// maxName bounds what ends up in logs and metrics.
	maxName = 200
)

// unlimited is the tier that is always there.
const unlimited = "Unlimited"

// Parse reads a policy file. What is wrong is appended to l; the policies that
// are right are returned all the same, so that definitions can be checked
// against them.
func Parse(name string, data []byte, l *diag.List) *File {
	f := &File{Name: name}
	root := tree.Parse(name, data, l)
	if root == nil {
		return f
	}
	if root.Kind == tree.Null {
		return f
	}
	if root.Kind != tree.Object {
		l.Errorf(root.At(""), "want %s, not %s", strings.Join(listKeys, ", "), root.Describe())
		return f
	}
	for i := range root.Keys {
		if key := root.Keys[i].Name; !slices.Contains(listKeys, key) {
			hint := diag.DidYouMean(key, listKeys)
			if hint == "" {
				hint = "known keys are " + strings.Join(listKeys, ", ")
			}
			l.ErrorHint(root.KeyAt(i, ""), hint, "unknown key %q", key)
		}
	}
	for k, key := range listKeys {
		list := root.Get(key)
		if list == nil || list.Kind == tree.Null {
			continue
		}
		if list.Kind != tree.Array {
			l.ErrorHint(list.At(key), `write each policy with a dash: "- NAME:" and its keys below it`, "want a list, not %s", list.Describe())
			continue
		}
		for i, item := range list.Items {
			f.item(Kind(k), item, key+"["+strconv.Itoa(i)+"]", l)
		}
	}
	return f
}

// item reads an entry of a list: {NAME: {count: ...}}, or flat with a key
// "name".
func (f *File) item(k Kind, n *tree.Node, place string, l *diag.List) {
	if n.Kind != tree.Object || len(n.Keys) == 0 {
		what := n.Describe()
		if n.Kind == tree.Object {
			what = "an empty one"
		}
		l.Errorf(n.At(place), "want an object with the policy's name as its key, not %s", what)
		return
	}
	if name := n.Get("name"); name != nil && name.Kind != tree.Object {
		switch name.Kind {
		case tree.String, tree.Number, tree.Bool:
			r := reader{n, name.At(place + ".name"), place, l}
			f.policy(k, name.Text, flatKeys, r)
		default:
			l.Errorf(name.At(place+".name"), "want the policy's name, not %s", name.Describe())
		}
		return
	}
	if n.Get("count") != nil {
		l.ErrorHint(n.At(place), "indent count and the other keys below the policy's name", "the policy has no name")
		return
	}
	for i, body := range n.Items {
		name := n.Keys[i].Name
		at := n.KeyAt(i, place+"."+name)
		if body.Kind != tree.Object {
			l.Errorf(at, "want an object with count, unitTime and timeUnit, not %s", body.Describe())
			continue
		}
		f.policy(k, name, keys, reader{body, at, place + "." + name, l})
	}
}

// keys are those of a policy below its name.
var keys = []string{
	"burst", "count", "countBy", "counter", "mode", "onCounterFailure", "stopOnQuota", "stopOnQuotaReach", "timeUnit", "unitTime",
}

var flatKeys = append([]string{"name"}, keys...)

// strangers are keys of other products' policies, with what to write instead.
var strangers = map[string]string{
	"allowOnLimitExceed": "write stopOnQuota: false",
	"dataAmount":         "there are no limits by volume: count limits calls",
	"dataUnit":           "there are no limits by volume: count limits calls",
	"rateLimitCount":     "write burst: the calls that may come at once",
	"rateLimitTimeUnit":  "write burst: the calls that may come at once",
	"requestCount":       "write count",
	"conditionGroups":    "write countBy, or give operations policies of their own",
}

// A reader reads a policy's keys.
type reader struct {
	n     *tree.Node
	at    diag.At // of the policy
	place string
	l     *diag.List
}

func (f *File) policy(k Kind, name string, known []string, r reader) {
	before := r.l.Count(diag.Error)
	p := Policy{Name: name, Kind: k, StopOnQuota: true, At: r.at}
	r.name(name)
	for i := range r.n.Keys {
		if key := r.n.Keys[i].Name; !slices.Contains(known, key) {
			hint := cmp.Or(strangers[key], diag.DidYouMean(key, keys))
			if key == "name" {
				hint = "remove it: the key above is the policy's name"
			}
			r.l.ErrorHint(r.n.KeyAt(i, r.place), hint, "unknown key %q", key)
		}
	}
	p.Count = r.whole("count", maxCount)
	p.WindowMillis = r.window()
	if stop := r.stopOnQuota(); stop != nil && stop.Text == "false" {
		if k == Subscription {
			p.StopOnQuota = false
		} else {
			r.l.Warnf(stop.At(r.place+".stopOnQuota"), "only subscription policies can let calls pass: it is ignored")
		}
	}
	if r.n.Get("burst") != nil {
		p.Burst = r.whole("burst", maxCount)
		if p.Burst > p.Count && r.l.Count(diag.Error) == before {
			b := r.n.Get("burst")
			r.l.ErrorHint(b.At(r.place+".burst"), "leave burst out to let all of the count come at once", "%d is more than the count, which is %d", p.Burst, p.Count)
		}
	}
	if by := r.n.Get("countBy"); by != nil {
		if k == Resource {
			p.CountBy = r.countBy(by)
		} else {
			hint := "an application policy counts for each application and user"
			if k == Subscription {
				hint = "a subscription policy counts for each application and API"
			}
			r.l.ErrorHint(by.At(r.place+".countBy"), hint, "only resource policies can say what to count by")
		}
	}
	p.Failure = r.failure()
	p.Shadow = r.word("mode", "hard", "shadow") == "shadow"

	// The same name may be used in different kinds: each is looked up in its
	// own list.
	if first := f.Find(k, name); first >= 0 {
		r.l.Errorf(r.at, "the %s policy %q is here twice: first at %s", k, name, f.Policies[first].At)
	}
	if r.l.Count(diag.Error) > before {
		// Wrong, but there: an API that names it is not wrong as well.
		p = Policy{Name: name, Kind: k, StopOnQuota: true, At: r.at, Count: 1, WindowMillis: 1000}
	}
	f.Policies = append(f.Policies, p)
}

func (r *reader) name(name string) {
	switch {
	case name == "":
		r.l.Errorf(r.at, "the policy has no name")
	case strings.TrimSpace(name) != name:
		r.l.Errorf(r.at, "the name %q begins or ends with a blank", name)
	case utf8.RuneCountInString(name) > maxName:
		r.l.Errorf(r.at, "the name is longer than %d characters", maxName)
	case strings.ContainsFunc(name, diag.Unprintable):
		r.l.Errorf(r.at, "the name %q has a character that cannot be printed", name)
	case name == unlimited:
		r.l.Warnf(r.at, "%s is always there and never limits: this policy has no effect", unlimited)
	}
}

// stopOnQuota is the node of the key, under the name it has in files or the one
// it has in API Manager's answers.
func (r *reader) stopOnQuota() *tree.Node {
	stop, other := r.n.Get("stopOnQuota"), r.n.Get("stopOnQuotaReach")
	if stop != nil && other != nil {
		r.l.Errorf(other.At(r.place+".stopOnQuotaReach"), "it means stopOnQuota, which is here, too")
	}
	name := "stopOnQuota"
	if stop == nil {
		stop, name = other, "stopOnQuotaReach"
	}
	if stop != nil && stop.Kind != tree.Bool {
		r.l.ErrorHint(stop.At(r.place+"."+name), unquoted(stop, "true", "false"), "want true or false, not %s", stop.Describe())
		return nil
	}
	return stop
}

func (r *reader) window() int64 {
	unitTime := r.whole("unitTime", math.MaxInt32)
	unit := r.n.Get("timeUnit")
	if unit == nil {
		r.l.ErrorHint(r.at, "one of "+strings.Join(unitNames, ", "), `"timeUnit" is missing`)
		return 1
	}
	each := units[strings.ToLower(unit.Text)]
	if each == 0 || unit.Kind != tree.String {
		hint := diag.DidYouMean(strings.TrimSuffix(unit.Text, "s"), unitNames)
		for _, u := range unitNames {
			if strings.HasPrefix(strings.ToLower(unit.Text), u) {
				hint = `did you mean "` + u + `"?`
			}
		}
		r.l.ErrorHint(unit.At(r.place+".timeUnit"), hint, "%s is none of %s", unit.Describe(), strings.Join(unitNames, ", "))
		return 1
	}
	if unitTime > maxWindow/each {
		r.l.Errorf(r.n.Get("unitTime").At(r.place+".unitTime"), "the window is longer than a hundred years")
		return 1
	}
	return unitTime * each
}

// headerName is a token (RFC 9110, section 5.1).
var headerName = regexp.MustCompile("^[-!#$%&'*+.^_`|~0-9A-Za-z]{1,100}$")

// countBy reads clientAddress, {header: NAME} or {claim: NAME}.
func (r *reader) countBy(n *tree.Node) (by CountBy) {
	at := n.At(r.place + ".countBy")
	const want = "clientAddress, {header: NAME} or {claim: NAME}"
	switch {
	case n.Kind == tree.String && n.Text == "clientAddress":
		return CountBy{ClientAddress: true}
	case n.Kind == tree.String:
		r.l.ErrorHint(at, diag.DidYouMean(n.Text, []string{"clientAddress"}), "want %s, not %s", want, n.Describe())
		return by
	case n.Kind != tree.Object:
		r.l.Errorf(at, "want %s, not %s", want, n.Describe())
		return by
	case len(n.Keys) != 1:
		r.l.Errorf(at, "want one of %s", want)
		return by
	}
	key, value := n.Keys[0].Name, n.Items[0]
	at = value.At(r.place + ".countBy." + key)
	switch {
	case key != "header" && key != "claim":
		r.l.ErrorHint(n.KeyAt(0, r.place+".countBy"), diag.DidYouMean(key, []string{"header", "claim"}), "unknown key %q: want %s", key, want)
	case value.Kind != tree.String || value.Text == "":
		r.l.Errorf(at, "want the name of a %s, not %s", key, value.Describe())
	case key == "header" && !headerName.MatchString(value.Text):
		r.l.Errorf(at, "%q is not the name of a header", value.Text)
	case key == "header":
		by.Header = strings.ToLower(value.Text)
		switch by.Header {
		case "forwarded", "x-forwarded-for", "x-real-ip":
			r.l.WarnHint(at, "countBy: clientAddress believes proxies that the conf trusts, and nobody else", "a client may write what it likes into %q, and so escape the limit", value.Text)
		}
	case utf8.RuneCountInString(value.Text) > maxName || strings.ContainsFunc(value.Text, diag.Unprintable):
		r.l.Errorf(at, "%s is not the name of a claim", value.Describe())
	default:
		by.Claim = value.Text
	}
	return by
}

// failure reads counter and onCounterFailure, which are nothing without each
// other.
func (r *reader) failure() Failure {
	shared := r.word("counter", "local", "shared") == "shared"
	failure := Failure(r.word("onCounterFailure", string(Local), string(Open), string(Closed)))
	if on := r.n.Get("onCounterFailure"); on != nil && !shared {
		if c := r.n.Get("counter"); c == nil || c.Text == "local" {
			r.l.ErrorHint(on.At(r.place+".onCounterFailure"), "add counter: shared", "only a shared counter can fail")
		}
	}
	if !shared {
		return ""
	}
	return failure
}

// word reads one of some words; the first is what it means to say nothing.
func (r *reader) word(key string, words ...string) string {
	v := r.n.Get(key)
	if v == nil {
		return words[0]
	}
	if v.Kind != tree.String || !slices.Contains(words, v.Text) {
		r.l.ErrorHint(v.At(r.place+"."+key), diag.DidYouMean(v.Text, words), "%s is none of %s", v.Describe(), strings.Join(words, ", "))
		return words[0]
	}
	return v.Text
}

// whole reads a whole number from 1 on.
func (r *reader) whole(key string, most int64) int64 {
	v := r.n.Get(key)
	if v == nil {
		r.l.Errorf(r.at, "%q is missing", key)
		return 1
	}
	at := v.At(r.place + "." + key)
	// 1e3 and 5.0 are whole numbers, too, as JSON Schema has it. Beyond most a
	// float may be off, but not by enough to come back.
	x, err := strconv.ParseFloat(v.Text, 64)
	switch {
	case v.Kind != tree.Number || err != nil && !math.IsInf(x, 0) || x != math.Trunc(x):
		r.l.ErrorHint(at, unquoted(v), "want a whole number, not %s", v.Describe())
	case x < 1:
		r.l.Errorf(at, "%s is too little: want 1 or more", v.Text)
	case x > float64(most):
		hint := ""
		if key == "count" {
			hint = "for no limit, name the tier " + unlimited
		}
		r.l.ErrorHint(at, hint, "%s is too much: want at most %d", v.Text, most)
	default:
		return int64(x)
	}
	return 1
}

// unquoted is a hint for what is right but for its quotes: one of the words,
// or a whole number if there are none.
func unquoted(v *tree.Node, words ...string) string {
	if v.Kind != tree.String {
		return ""
	}
	if _, err := strconv.ParseInt(v.Text, 10, 64); len(words) == 0 && err == nil || slices.Contains(words, v.Text) {
		return "write " + v.Text + " without quotes"
	}
	return ""
}
