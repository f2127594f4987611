package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// In a container nobody writes a command line: the project's target folder is
// mounted at /home/exec, the conf file where WSO2's images have it, and the
// environment variable "project" says what to serve. All of this counts only
// where there is a folder /home/exec; elsewhere "project" is any variable.
//
// Paths are without their first slash here, as an fs.FS wants them.
const execFolder = "home/exec"

// confFiles are where a conf file may be mounted; the first that is there
// counts. ballerina.conf is what a config map of WSO2's Kubernetes files is
// mounted as, and wins there, too; wso2/conf is 3.0.4's place.
var confFiles = []string{
	"home/ballerina/conf/ballerina.conf",
	"home/ballerina/conf/micro-gw.conf",
	"home/ballerina/wso2/conf/micro-gw.conf",
}

const confName = "micro-gw.conf"

// locate completes a command line from the container that it runs in.
func (c *command) locate(root fs.FS, getenv func(string) string) error {
	if c.name == "version" || c.name == "help" {
		return nil
	}
	info, err := fs.Stat(root, execFolder)
	if err != nil || !info.IsDir() {
		if c.name == "serve" && c.artifact == "" {
			return misuse("no artifact given")
		}
		return nil
	}
	if c.name == "serve" && c.artifact == "" {
		if c.artifact, err = findArtifact(root, getenv("project")); err != nil {
			return err
		}
	}
	if c.confPath == "" {
		c.confPath, err = findConf(root, getenv("MGW_CONF_DIR"))
	}
	return err
}

// findArtifact says which file of /home/exec is to be served. WSO2's project
// names are lower case in some places and as typed in others, so a name that
// differs in nothing but case will do where only one does.
func findArtifact(root fs.FS, project string) (string, error) {
	entries, err := fs.ReadDir(root, execFolder)
	if errors.Is(err, fs.ErrPermission) {
		return "", fmt.Errorf("/%s: permission denied\n\thint: the process must be able to read the folder that is mounted there", execFolder)
	} else if err != nil {
		return "", fmt.Errorf("/%s: %w", execFolder, pathless(err))
	}
	var all, alike []string
	for _, e := range entries {
		// The dot is of a file that is being written.
		if path.Ext(e.Name()) != ".mgw" || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		all = append(all, e.Name())
		if strings.EqualFold(e.Name(), project+".mgw") {
			alike = append(alike, e.Name())
		}
		if e.Name() == project+".mgw" {
			alike = alike[len(alike)-1:]
			break
		}
	}
	there := "there is no artifact in /" + execFolder
	if len(all) > 0 {
		there = "there is " + strings.Join(all, ", ")
	}
	switch {
	case strings.ContainsAny(project, `/\`):
		return "", fmt.Errorf("env project: %q is not a project's name; %s", project, there)
	case len(alike) == 1:
		return "/" + execFolder + "/" + alike[0], nil
	case len(all) == 0:
		return "", fmt.Errorf("%s\n\thint: mount a project's target folder, -v PROJECT/target:/%s", there, execFolder)
	case project != "":
		return "", fmt.Errorf("/%s/%s.mgw: no such file, and env project names it; %s", execFolder, project, there)
	case len(all) == 1:
		return "/" + execFolder + "/" + all[0], nil
	}
	return "", fmt.Errorf("several artifacts in /%s, and env project says none of them; %s\n\thint: -e project=%s", execFolder, there, strings.TrimSuffix(all[0], ".mgw"))
}

// findConf finds the conf file: in the folder of MGW_CONF_DIR if that is set,
// else where WSO2's images have it. There may be none.
func findConf(root fs.FS, dir string) (string, error) {
	files := confFiles
	if dir != "" {
		files = []string{strings.TrimPrefix(path.Join(dir, confName), "/")}
	}
	for _, name := range files {
		info, err := fs.Stat(root, name)
		switch {
		case err == nil && info.IsDir():
			return "", fmt.Errorf("/%s: is a folder\n\thint: a container engine makes one where the file to be mounted does not exist", name)
		case err == nil:
			return "/" + name, nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("/%s: %w", name, pathless(err))
		case dir != "":
			return "", fmt.Errorf("/%s: no such file, and env MGW_CONF_DIR names its folder", name)
		}
	}
	return "", nil
}

// pathless drops what an error says of the path in its own form.
func pathless(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}
