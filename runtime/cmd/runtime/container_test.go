package main

import (
	"io/fs"
	"testing"
	"testing/fstest"
)

// What a container has decides what is served there and with which conf.
func TestContainer(t *testing.T) {
	type files = []string
	for name, c := range map[string]struct {
		files          files
		project, conf  string   // environment
		args           []string // of the command line
		artifact, file string   // what is found
		err            string
	}{
		"by name":                {files: files{"home/exec/petstore.mgw", "home/exec/shop.mgw"}, project: "petstore", artifact: "/home/exec/petstore.mgw"},
		"by name, in other case": {files: files{"home/exec/CoffeeBar.mgw", "home/exec/shop.mgw"}, project: "coffeebar", artifact: "/home/exec/CoffeeBar.mgw"},
		"same case first":        {files: files{"home/exec/Shop.mgw", "home/exec/shop.mgw", "home/exec/shOp.mgw"}, project: "shop", artifact: "/home/exec/shop.mgw"},
		"case in doubt":          {files: files{"home/exec/Shop.mgw", "home/exec/sHop.mgw"}, project: "shop", err: "/home/exec/shop.mgw: no such file, and env project names it; there is Shop.mgw, sHop.mgw"},
		"the only one":           {files: files{"home/exec/petstore.mgw", "home/exec/README.md", "home/exec/.petstore.mgw.1.mgw"}, artifact: "/home/exec/petstore.mgw"},
		"which one":              {files: files{"home/exec/a.mgw", "home/exec/b.mgw"}, err: "several artifacts in /home/exec, and env project says none of them; there is a.mgw, b.mgw\n\thint: -e project=a"},
		"not there":              {files: files{"home/exec/a.mgw"}, project: "b", err: "/home/exec/b.mgw: no such file, and env project names it; there is a.mgw"},
		"none":                   {files: files{"home/exec/a.balx"}, project: "a", err: "there is no artifact in /home/exec\n\thint: mount a project's target folder, -v PROJECT/target:/home/exec"},
		"a path":                 {files: files{"home/exec/a.mgw"}, project: "../a", err: `env project: "../a" is not a project's name; there is a.mgw`},
		"no container":           {files: files{"home/me/a.mgw"}, project: "a", err: "no artifact given"},
		"given":                  {files: files{"home/exec/a.mgw", "home/ballerina/conf/micro-gw.conf"}, args: []string{"x.mgw"}, artifact: "x.mgw", file: "/home/ballerina/conf/micro-gw.conf"},
		"given elsewhere":        {files: files{"home/ballerina/conf/micro-gw.conf"}, args: []string{"x.mgw"}, artifact: "x.mgw"},
		"conf":                   {files: files{"home/exec/a.mgw", "home/ballerina/conf/micro-gw.conf"}, artifact: "/home/exec/a.mgw", file: "/home/ballerina/conf/micro-gw.conf"},
		"conf of a config map":   {files: files{"home/exec/a.mgw", "home/ballerina/conf/ballerina.conf", "home/ballerina/conf/micro-gw.conf"}, artifact: "/home/exec/a.mgw", file: "/home/ballerina/conf/ballerina.conf"},
		"conf of 3.0.4":          {files: files{"home/exec/a.mgw", "home/ballerina/wso2/conf/micro-gw.conf"}, artifact: "/home/exec/a.mgw", file: "/home/ballerina/wso2/conf/micro-gw.conf"},
		"conf given":             {files: files{"home/exec/a.mgw", "home/ballerina/conf/micro-gw.conf"}, args: []string{"--conf", "my.conf"}, artifact: "/home/exec/a.mgw", file: "my.conf"},
		"conf folder":            {files: files{"home/exec/a.mgw", "home/ballerina/conf/micro-gw.conf", "etc/gw/micro-gw.conf"}, conf: "/etc/gw/", artifact: "/home/exec/a.mgw", file: "/etc/gw/micro-gw.conf"},
		"no conf in the folder":  {files: files{"home/exec/a.mgw", "home/ballerina/conf/micro-gw.conf"}, conf: "/etc/gw", err: "/etc/gw/micro-gw.conf: no such file, and env MGW_CONF_DIR names its folder"},
		"conf is a folder": {files: files{"home/exec/a.mgw", "home/ballerina/conf/micro-gw.conf/x"},
			err: "/home/ballerina/conf/micro-gw.conf: is a folder\n\thint: a container engine makes one where the file to be mounted does not exist"},
		"config": {files: files{"home/exec/a.mgw", "home/ballerina/conf/micro-gw.conf"}, args: []string{"config"}, file: "/home/ballerina/conf/micro-gw.conf"},
		"health": {files: files{"home/exec/a.mgw", "home/ballerina/conf/micro-gw.conf"}, args: []string{"health"}, file: "/home/ballerina/conf/micro-gw.conf"},
	} {
		t.Run(name, func(t *testing.T) {
			root := fstest.MapFS{}
			for _, f := range c.files {
				root[f] = &fstest.MapFile{}
			}
			cmd, err := parse(c.args)
			if err != nil {
				t.Fatal(err)
			}
			err = cmd.locate(root, func(key string) string {
				return map[string]string{"project": c.project, "MGW_CONF_DIR": c.conf}[key]
			})
			switch {
			case c.err != "":
				if err == nil || err.Error() != c.err {
					t.Errorf("got %v, want %s", err, c.err)
				}
			case err != nil || cmd.artifact != c.artifact || cmd.confPath != c.file:
				t.Errorf("got %q with %q, %v; want %q with %q", cmd.artifact, cmd.confPath, err, c.artifact, c.file)
			}
		})
	}
}

// denied is a container whose folder cannot be read.
type denied struct{ fstest.MapFS }

func (denied) ReadDir(name string) ([]fs.DirEntry, error) {
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
}

func TestContainerDenied(t *testing.T) {
	c := &command{name: "serve"}
	err := c.locate(denied{fstest.MapFS{"home/exec/a.mgw": {}}}, func(string) string { return "" })
	if want := "/home/exec: permission denied\n\thint: the process must be able to read the folder that is mounted there"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestDialable(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:9000": "127.0.0.1:9000",
		"0.0.0.0:9000":   "127.0.0.1:9000",
		":9000":          "127.0.0.1:9000",
		"[::]:9000":      "[::1]:9000",
		"10.0.0.7:9000":  "10.0.0.7:9000",
		"localhost:9000": "localhost:9000",
	} {
		if got, err := dialable(address); got != want || err != nil {
			t.Errorf("%s: got %s, %v; want %s", address, got, err, want)
		}
	}
	for _, address := range []string{"", "127.0.0.1:0"} {
		if got, err := dialable(address); err == nil {
			t.Errorf("%q: got %s", address, got)
		}
	}
}
