// Package policies reads a project's policy.yaml: how often what may be called.
//
// The format is WSO2's. What differs: names are taken as they are written (the
// original rewrote some characters, after which no tier matched them), counts
// must be positive, windows may be given in seconds, and unknown keys are
// errors.
package policies

import (
	"math"
	"slices"
	"strconv"
	"strings"

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
	At          diag.At
}

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

// maxWindow is a hundred years.
const maxWindow = 100 * 365 * 24 * 3_600_000

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
		l.Errorf(n.At(place), "want an object with the policy's name as its key, not %s", n.Describe())
		return
	}
	if name := n.Get("name"); name != nil && name.Kind != tree.Object {
		if name.Kind == tree.Null || name.Text == "" {
			l.Errorf(name.At(place+".name"), "the policy has no name")
			return
		}
		f.policy(k, name.Text, n, name.At(place+".name"), place, l)
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
		f.policy(k, name, body, at, place+"."+name, l)
	}
}

var keys = []string{"count", "name", "stopOnQuota", "timeUnit", "unitTime"}

func (f *File) policy(k Kind, name string, n *tree.Node, at diag.At, place string, l *diag.List) {
	before := l.Count(diag.Error)
	p := Policy{Name: name, Kind: k, StopOnQuota: true, At: at}
	for i := range n.Keys {
		if key := n.Keys[i].Name; !slices.Contains(keys, key) {
			l.ErrorHint(n.KeyAt(i, place), diag.DidYouMean(key, keys), "unknown key %q", key)
		}
	}
	p.Count = whole(n, "count", math.MaxInt64, at, place, l)
	unitTime := whole(n, "unitTime", math.MaxInt32, at, place, l)
	unit := n.Get("timeUnit")
	switch {
	case unit == nil:
		l.ErrorHint(at, "one of "+strings.Join(unitNames, ", "), `"timeUnit" is missing`)
	case units[strings.ToLower(unit.Text)] == 0:
		hint := diag.DidYouMean(strings.TrimSuffix(unit.Text, "s"), unitNames)
		for _, u := range unitNames {
			if strings.HasPrefix(strings.ToLower(unit.Text), u) {
				hint = `did you mean "` + u + `"?`
			}
		}
		l.ErrorHint(unit.At(place+".timeUnit"), hint, "%s is none of %s", unit.Describe(), strings.Join(unitNames, ", "))
	default:
		each := units[strings.ToLower(unit.Text)]
		if unitTime > maxWindow/each {
			l.Errorf(n.Get("unitTime").At(place+".unitTime"), "the window is longer than a hundred years")
		} else {
			p.WindowMillis = unitTime * each
		}
	}
	if stop := n.Get("stopOnQuota"); stop != nil {
		switch {
		case stop.Kind != tree.Bool:
			l.Errorf(stop.At(place+".stopOnQuota"), "want true or false, not %s", stop.Describe())
		case k != Subscription && stop.Text == "false":
			l.Warnf(stop.At(place+".stopOnQuota"), "only subscription policies can let calls pass: it is ignored")
		default:
			p.StopOnQuota = stop.Text == "true"
		}
	}
	// The same name may be used in different kinds: each is looked up in its
	// own list.
	if first := f.Find(k, name); first >= 0 {
		l.Errorf(at, "the %s policy %q is here twice: first at %s", k, name, f.Policies[first].At)
	}
	if l.Count(diag.Error) == before {
		f.Policies = append(f.Policies, p)
		return
	}
	// Wrong, but there: an API that names it is not wrong as well.
	p.Count, p.WindowMillis = 1, 1000
	f.Policies = append(f.Policies, p)
}

func whole(n *tree.Node, key string, most int64, at diag.At, place string, l *diag.List) int64 {
	v := n.Get(key)
	if v == nil {
		l.Errorf(at, "%q is missing", key)
		return 1
	}
	i, err := strconv.ParseInt(v.Text, 10, 64)
	switch {
	case v.Kind != tree.Number || err != nil:
		l.Errorf(v.At(place+"."+key), "want a whole number, not %s", v.Describe())
		return 1
	case i < 1:
		l.Errorf(v.At(place+"."+key), "%s is too little: want 1 or more", v.Text)
		return 1
	case i > most:
		l.Errorf(v.At(place+"."+key), "%s is too much: want at most %d", v.Text, most)
		return 1
	}
	return i
}
