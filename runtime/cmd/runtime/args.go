package main

import (
	"errors"
	"fmt"
	"strings"
)

// help is printed by --help.
const help = `Runtime serves the APIs of an artifact that "micro-gw build" made.

Usage:
  runtime [--artifact] FILE [flags]   serve
  runtime config [flags]              print the configuration in effect
  runtime health [flags]              ask the runtime on this machine how it is
  runtime version                     print the version

Examples:
  runtime petstore/target/petstore.mgw
      Serve with the defaults, in development mode: tokens of "micro-gw token"
      are accepted. HTTP on 9090, HTTPS on 9095 with a self-signed certificate,
      admin on 127.0.0.1:9000.
  runtime --artifact petstore.mgw --conf micro-gw.conf -e b7a.log.level=DEBUG
      Serve with a conf file and one value of it replaced.
  runtime --artifact petstore.mgw --conf micro-gw.conf --check
      Say whether both are good, without serving.

Flags:
  --artifact FILE       what to serve; may also be given without the flag
  --conf FILE           micro-gw.conf; without it the defaults hold
  -e KEY=VALUE          replace a value of the conf; may be repeated. An
                        environment variable does the same with "_" for ".":
                        listenerConfig_httpPort=8080
  --dev                 development mode although there is a conf file
  --verify-key FILE     public key that the artifact must be signed by ("micro-gw
                        keygen"); may be repeated: any of them will do
  --watch               swap the artifact whenever its file changes
  --check               check conf and artifact, bind no port, and end
  --ready               "health": whether it can serve, not only whether it lives
  --output text|json    form of "config" and "version"
  -h, --help            print this

In a container, that is where there is a folder /home/exec, the artifact need
not be given: it is /home/exec/$project.mgw, or the only one there. The conf is
$MGW_CONF_DIR/micro-gw.conf, else /home/ballerina/conf/ballerina.conf, else
/home/ballerina/conf/micro-gw.conf, else /home/ballerina/wso2/conf/micro-gw.conf,
else there is none.

Signals:
  SIGTERM, SIGINT       stop: /ready answers 503, no new connections, requests
                        in flight finish (shutdown.grace, 20s). A second one
                        ends at once.
  SIGHUP                load the artifact again, and certificates, trusted
                        authorities and revoked ones, which are also read
                        when their files change. What is bad is refused and
                        the one before goes on.
  SIGUSR1               reopen the access log, after it was rotated

Exit codes:
  0  served and stopped, or nothing wrong, or healthy
  1  conf or artifact refused, a port in use, failed while serving, not healthy
  2  wrong usage

Memory: under a memory limit of its control group the runtime keeps to 90% of
it. GOMEMLIMIT and GOGC are honoured as in every Go program.
`

// command is a command line.
type command struct {
	name     string // "serve", "config", "health", "version" or "help"
	artifact string
	confPath string
	set      []string
	dev      bool
	watch    bool
	check    bool
	ready    bool
	keys     []string // of --verify-key
	output   string   // "text" or "json"
}

// usageError is a command line that makes no sense.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }

func misuse(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// parse reads a command line. Flags and the artifact may come in any order, as
// WSO2's launcher wants the artifact last; one dash is as good as two.
func parse(args []string) (*command, error) {
	c := &command{name: "serve", output: "text"}
	if len(args) > 0 {
		switch args[0] {
		case "config", "health", "version", "help":
			c.name = args[0]
			args = args[1:]
		}
	}
	given := map[string]bool{}
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			if c.name != "serve" {
				return nil, misuse("%s takes no argument, not %q", c.name, arg)
			}
			if c.artifact != "" {
				return nil, misuse("two artifacts: %q and %q", c.artifact, arg)
			}
			if arg == "" {
				return nil, misuse("the artifact's name is empty")
			}
			c.artifact = arg
			continue
		}
		name, value, attached := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		f, ok := c.flags()[name]
		if !ok {
			if strings.Contains(name, ".") {
				// WSO2 3.1 and later took any key as a flag.
				return nil, misuse("unknown flag %q; a value of the conf is set with -e %s", arg, strings.TrimLeft(arg, "-"))
			}
			return nil, misuse("unknown flag %q", arg)
		}
		if given[name] && name != "e" && name != "verify-key" {
			return nil, misuse("--%s is given twice", name)
		}
		given[name] = true
		if f.text == nil {
			if attached {
				return nil, misuse("--%s takes no value", name)
			}
			*f.on = true
			continue
		}
		if !attached {
			if len(args) == 0 {
				return nil, misuse("--%s needs a value", name)
			}
			value, args = args[0], args[1:]
		}
		if err := f.text(value); err != nil {
			if name == "e" {
				return nil, misuse("-e: %v", err)
			}
			return nil, misuse("--%s: %v", name, err)
		}
	}
	if given["help"] || given["h"] {
		c.name = "help"
		return c, nil
	}
	return c, c.consistent(given)
}

// consistent refuses flags that the command has no use for.
func (c *command) consistent(given map[string]bool) error {
	allowed := map[string][]string{
		"serve":   {"artifact", "conf", "e", "dev", "watch", "check", "verify-key"},
		"config":  {"conf", "e", "dev", "output"},
		"health":  {"conf", "e", "ready"},
		"version": {"output"},
	}[c.name]
	for name := range given {
		ok := false
		for _, a := range allowed {
			ok = ok || a == name
		}
		switch {
		case ok:
		case c.name == "serve" && name == "ready":
			return misuse("--ready is for \"health\", not for serving")
		case c.name == "serve":
			return misuse("--%s is for \"config\" and \"version\", not for serving", name)
		default:
			return misuse("--%s has no meaning for %q", name, c.name)
		}
	}
	if c.watch && c.check {
		return misuse("--watch has no meaning with --check")
	}
	return nil
}

// option sets one thing: a switch or a text.
type option struct {
	on   *bool
	text func(string) error
}

func (c *command) flags() map[string]option {
	into := func(p *string) func(string) error {
		return func(s string) error {
			switch {
			case s == "":
				return errors.New("the value is empty")
			case *p != "":
				return fmt.Errorf("given already: %q", *p)
			}
			*p = s
			return nil
		}
	}
	var help bool
	return map[string]option{
		"artifact": {text: into(&c.artifact)},
		"conf":     {text: into(&c.confPath)},
		"e": {text: func(s string) error {
			if key, _, ok := strings.Cut(s, "="); !ok || key == "" {
				return fmt.Errorf("%q is not KEY=VALUE", s)
			}
			c.set = append(c.set, s)
			return nil
		}},
		"verify-key": {text: func(s string) error {
			if s == "" {
				return errors.New("the value is empty")
			}
			c.keys = append(c.keys, s)
			return nil
		}},
		"dev":   {on: &c.dev},
		"watch": {on: &c.watch},
		"check": {on: &c.check},
		"ready": {on: &c.ready},
		"output": {text: func(s string) error {
			if s != "text" && s != "json" {
				return fmt.Errorf("%q is neither text nor json", s)
			}
			c.output = s
			return nil
		}},
		"h":    {on: &help},
		"help": {on: &help},
	}
}
