package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/toolkit/internal/deploy"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/fetch"
	"github.com/microgw/microgw/toolkit/internal/scaffold"
)

const initLong = `Make a project: the folder NAME with

    api_definitions/     your definition (-a), or a sample to try things with
    policy.yaml          throttling policies: the usual tiers, to be changed
    interceptors/        code that changes requests and responses
    conf/micro-gw.conf   settings of the running gateway
    conf/deployment-config.toml
                         what is made for Docker and Kubernetes (-d)
    README.md            what to do next
    .gitignore           for target/ and .micro-gw/
    .micro-gw/           the development key, for micro-gw token

The definition may be OpenAPI 3 or Swagger 2.0, YAML or JSON. It is copied as it
is; what is wrong with it is for the build to say.

An existing folder is refused. With --force a project is replaced as a whole,
its development key too; a folder that is not a project is never touched. If
anything fails, nothing is left behind and nothing is lost.

Exit codes: 0 made; 1 the definition cannot be had or is none; 2 wrong
arguments, among them a folder that exists and a file that does not.`

const initExamples = `  micro-gw init petstore
  micro-gw init shop -a ../contracts/shop.yaml
  micro-gw init shop -a https://example.com/openapi.json --headers Authorization --values "Bearer $TOKEN"
  micro-gw init petstore --force`

func (a *app) initCommand() *cobra.Command {
	var (
		source fetch.Source
		fields headerFlags
		force  bool
		config string
	)
	cmd := &cobra.Command{
		Use:     "init NAME",
		Short:   "Make a project",
		Long:    initLong,
		Example: initExamples,
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usage("see "+help(cmd), "no name given for the project")
			case len(args) > 1:
				return usage("see "+help(cmd), "one project at a time: unexpected %q", args[1])
			}
			return nil
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("api-definition") && source.Location == "" {
				return usage("", "-a needs a file or URL")
			}
			var err error
			if source.Header, err = fields.header(); err != nil {
				return err
			}
			var deployment []byte
			if cmd.Flags().Changed("deployment-config") {
				var err error
				if deployment, err = a.deploymentConfig(config, filepath.Base(filepath.Clean(args[0]))); err != nil {
					return err
				}
			}
			done := func() {}
			if source.Location != "" {
				done = a.err.progress("fetching the definition")
			}
			definition, err := scaffold.Init(cmd.Context(), scaffold.Options{Dir: args[0], Force: force, Definition: source, Deployment: deployment})
			done()
			if err != nil {
				return initFailure(args[0], err)
			}
			name := filepath.Clean(args[0])
			fmt.Fprintf(a.out, "project %s made, with %s\n", name, definition)
			fmt.Fprintf(a.out, "next: micro-gw run %s, or micro-gw build %s\n", name, name)
			return nil
		},
	}
	cmd.Flags().StringVarP(&source.Location, "api-definition", "a", "", "definition to copy in: `FILE or URL` (http or https)")
	cmd.Flags().StringVarP(&config, "deployment-config", "d", "", "take `FILE` as the project's conf/deployment-config.toml")
	cmd.Flags().BoolVarP(&force, "force", "f", false, "replace the project that is there")
	addFetch(cmd, &source, &fields)
	return cmd
}

// deploymentConfig reads the file of -d and prints what is wrong with it.
func (a *app) deploymentConfig(file, project string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage("", "-d %s: no such file", file)
	} else if err != nil {
		return nil, failed(err)
	}
	var list diag.List
	deploy.Parse(file, data, project, &list)
	list.Sort()
	a.err.diagnostics(list, "init")
	if list.HasErrors() {
		return nil, errReported
	}
	return data, nil
}

func initFailure(dir string, err error) error {
	var (
		exists   *scaffold.ExistsError
		name     *scaffold.NameError
		notFound *fetch.NotFoundError
	)
	switch {
	case errors.As(err, &exists) && exists.Reason == "":
		return usage("--force replaces it, with everything inside", "%w", err)
	case errors.As(err, &exists):
		return usage("choose another name, or move it away", "%w", err)
	case errors.As(err, &name), errors.As(err, &notFound):
		return usage("", "%w", err)
	case errors.Is(err, fs.ErrNotExist):
		return usage("", "the folder that %s would be in does not exist", filepath.Clean(dir))
	}
	return failed(err)
}
