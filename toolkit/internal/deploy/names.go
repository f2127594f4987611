package deploy

import (
	"fmt"
	"path"
	"regexp"
	"strings"
)

var (
	// RFC 1123, section 2.1, as Kubernetes reads it: parts of 63, 253 in all.
	subdomain = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$`)
	// RFC 1035, section 2.3.1: a service's name, which becomes a host name.
	label = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)

	labelName  = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`)
	labelValue = regexp.MustCompile(`^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$`)

	quantity = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$`)
	envName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)
	dataKey  = regexp.MustCompile(`^[-._a-zA-Z0-9]{1,253}$`)

	// The grammar of image references, from the distribution specification.
	registryHost = regexp.MustCompile(`^([a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)(\.[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?)*(:[0-9]{1,5})?$`)
	imagePath    = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	imageTag     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`)
	imageDigest  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

func checkName(s string) (problem, hint string) {
	if len(s) > 253 || !subdomain.MatchString(s) {
		return fmt.Sprintf("%q is not a name in Kubernetes: want lower case letters, digits, \"-\" and \".\"", s), suggest(s, slug(s))
	}
	return "", ""
}

func checkLabel(s string) (problem, hint string) {
	if !label.MatchString(s) {
		return fmt.Sprintf("%q is not a service's name: want at most 63 lower case letters, digits and \"-\", a letter first", s), suggest(s, hostname(s))
	}
	return "", ""
}

func suggest(was, better string) string {
	if was == better {
		return ""
	}
	return fmt.Sprintf("write %q", better)
}

func checkPair(key, value string) string {
	name := key
	if prefix, rest, ok := strings.Cut(key, "/"); ok {
		if len(prefix) > 253 || !subdomain.MatchString(prefix) {
			return fmt.Sprintf("%q is not the name of a label: %q is no domain", key, prefix)
		}
		name = rest
	}
	switch {
	case !labelName.MatchString(name):
		return fmt.Sprintf("%q is not the name of a label", key)
	case !labelValue.MatchString(value):
		return fmt.Sprintf("%q is not the value of a label: want at most 63 letters, digits, \"-\", \"_\" and \".\"", value)
	}
	return ""
}

func checkAnnotation(key, _ string) string {
	if problem := checkPair(key, ""); problem != "" {
		return strings.Replace(problem, "a label", "an annotation", 1)
	}
	return ""
}

func checkQuantity(_, value string) string {
	if !quantity.MatchString(value) {
		return fmt.Sprintf("%q is not a quantity: want a number with or without a unit, such as 250m or 64Mi", value)
	}
	return ""
}

func checkTag(s string) (problem, hint string) {
	if !imageTag.MatchString(s) {
		return fmt.Sprintf("%q is not an image's tag", s), ""
	}
	return "", ""
}

func checkRegistry(s string) (problem, hint string) {
	host, rest, _ := strings.Cut(strings.TrimSuffix(s, "/"), "/")
	if _, after, ok := strings.Cut(s, "://"); ok {
		return fmt.Sprintf("%q is not a registry", s), fmt.Sprintf("write %q", after)
	}
	if !registryHost.MatchString(host) || rest != "" && !imagePath.MatchString(rest) {
		return fmt.Sprintf("%q is not a registry: want HOST, HOST:PORT or HOST/PATH", s), ""
	}
	return "", ""
}

// CheckImage checks a reference to an image: [HOST/]NAME[:TAG][@DIGEST]. The
// problem is "" if there is none, the hint if it is not known what was meant.
func CheckImage(s string) (problem, hint string) {
	name, digest, pinned := strings.Cut(s, "@")
	name, tag := splitTag(name)
	rest := name
	if host, after, ok := strings.Cut(name, "/"); ok && isHost(host) {
		rest = after
		if !registryHost.MatchString(host) {
			return fmt.Sprintf("%q is not the name of an image: %q is no host", s, host), ""
		}
	}
	switch {
	case pinned && !imageDigest.MatchString(digest), tag != "" && !imageTag.MatchString(tag), strings.Contains(s, ":@") || strings.HasSuffix(s, ":"), !imagePath.MatchString(rest):
		hint := ""
		if lower := strings.ToLower(name); lower != name && imagePath.MatchString(strings.ToLower(rest)) {
			hint = fmt.Sprintf("names of images are lower case: write %q", lower+s[len(name):])
		}
		return fmt.Sprintf("%q is not the name of an image", s), hint
	}
	return "", ""
}

// isHost says whether the first part of a reference is a registry: only a host
// has a dot, a port, or is localhost.
func isHost(s string) bool { return s == "localhost" || strings.ContainsAny(s, ".:") }

// splitTag parts a reference at its tag, which may be missing.
func splitTag(s string) (name, tag string) {
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') {
		return s[:i], s[i+1:]
	}
	return s, ""
}

func checkPath(s string) (problem, hint string) {
	if !path.IsAbs(s) || path.Clean(s) == "/" {
		return fmt.Sprintf("%q is not a path in the container: want one that begins with \"/\"", s), ""
	}
	if strings.ContainsAny(s, ":$\n\r\"\\") {
		return fmt.Sprintf("%q has a character that a path in the container cannot have", s), ""
	}
	return "", ""
}

// slug makes a name for Kubernetes of any text.
func slug(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else if b.Len() > 0 && !strings.HasSuffix(b.String(), "-") {
			b.WriteByte('-')
		}
		if b.Len() == 40 { // leaves room for what is put behind it
			break
		}
	}
	if s = strings.Trim(b.String(), "-"); s == "" {
		return "gateway"
	}
	return s
}

// hostname is a slug that begins with a letter.
func hostname(s string) string {
	s = slug(s)
	if s[0] < 'a' {
		return "gw-" + s
	}
	return s
}

// secretive says whether a key is one whose value nobody should see.
func secretive(key string) bool {
	key = strings.ToLower(key)
	if strings.HasSuffix(key, "path") || strings.HasSuffix(key, "file") {
		return false
	}
	for _, w := range []string{"password", "passwd", "passphrase", "secret", "credential", "apikey", "api_key", "access_key", "private_key"} {
		if strings.Contains(key, w) {
			return true
		}
	}
	return strings.HasSuffix(key, "token")
}
