package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/microgw/microgw/toolkit/internal/apim"
	"github.com/microgw/microgw/toolkit/internal/diag"
	"github.com/microgw/microgw/toolkit/internal/fetch"
	"github.com/microgw/microgw/toolkit/internal/importer"
	"github.com/microgw/microgw/toolkit/internal/toolconf"
)

const importLong = `Put API definitions from elsewhere into the project PROJECT, as
gen/api_definitions/ID..., where ID is made of the API's title and version.
Importing an API again replaces its file; all other files stay, those in
api_definitions/ among them. All that is asked for is imported, or nothing.

What to import is one of

    SOURCE...           definitions (files, http or https URLs), and archives
                        that API Manager exported (.zip)
    -l LABEL            all published APIs with that gateway label, from WSO2
                        API Manager; of version 4, those deployed to the gateway
                        environment LABEL
    -a NAME -v VERSION  one published API, from WSO2 API Manager; of version 4,
                        together with -l

API Manager is asked over its REST API, at -s URL. Settings come from the flags,
else from toolkit-config.toml (-c; else $MICROGW_HOME/conf/toolkit-config.toml,
else micro-gw/toolkit-config.toml in the user's configuration folder); for what is
still lacking you are asked, if standard input is a terminal.

The password is asked for without echo. Scripts give it in the environment
variable MICRO_GW_PASSWORD or with --password-file; that of the trust store in
MICRO_GW_TRUSTSTORE_PASS or with --truststore-pass-file. Those given with -p and -w
can be seen in the list of processes. Nothing of this is stored.

Exit codes: 0 imported; 1 the source cannot be had, refuses, or is not what it
should be; 2 wrong arguments, among them a project or source that does not exist.`

const importExamples = `  micro-gw import shop https://example.com/openapi.json --headers Authorization --values "Bearer $TOKEN"
  micro-gw import shop PizzaShackAPI-1.0.0.zip
  micro-gw import shop -l partners -s https://apim.example.com:9443 -u admin -t ca.pem
  micro-gw import shop -a PizzaShackAPI -v 1.0.0 --apim-version 3.2`

type importFlags struct {
	source                       fetch.Source
	fields                       headerFlags
	query                        apim.Query
	username, password, passFile string
	server, apimVersion, config  string
	store, storePass, storeFile  string
	format                       output
}

// serverFlags are those that API Manager alone needs.
var serverFlags = []string{"label", "api-name", "version", "username", "password", "password-file", "server-url", "truststore", "truststore-pass", "truststore-pass-file", "config", "apim-version"}

func (a *app) importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use:     "import PROJECT (SOURCE... | -l LABEL | -a NAME -v VERSION)",
		Short:   "Put definitions from elsewhere into a project",
		Long:    importLong,
		Example: importExamples,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("see "+help(cmd), "no project given")
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return nil, cobra.ShellCompDirectiveFilterDirs
			}
			return nil, cobra.ShellCompDirectiveDefault
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.importInto(cmd, args[0], args[1:], &f)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.query.Label, "label", "l", "", "import all published APIs with this gateway `LABEL`")
	flags.StringVarP(&f.query.Name, "api-name", "a", "", "import the published API of this `NAME`")
	flags.StringVarP(&f.query.Version, "version", "v", "", "the API's `VERSION`")
	flags.StringVarP(&f.username, "username", "u", "", "user `NAME` at API Manager")
	flags.StringVarP(&f.password, "password", "p", "", "the user's password; better is MICRO_GW_PASSWORD or --password-file")
	flags.StringVar(&f.passFile, "password-file", "", "`FILE` with the password")
	flags.StringVarP(&f.server, "server-url", "s", "", "`URL` of API Manager")
	flags.StringVar(&f.apimVersion, "apim-version", "", "`VERSION` of API Manager: 2.6 (if not given), 3.0, 3.1, 3.2, 4.x")
	flags.StringVarP(&f.store, "truststore", "t", "", "`FILE` with the certificates to trust, PKCS#12 or PEM; if not given, the system's")
	flags.StringVarP(&f.storePass, "truststore-pass", "w", "", "the trust store's password; better is MICRO_GW_TRUSTSTORE_PASS or --truststore-pass-file")
	flags.StringVar(&f.storeFile, "truststore-pass-file", "", "`FILE` with that password")
	flags.StringVarP(&f.config, "config", "c", "", "`FILE` with settings, if not the usual toolkit-config.toml")
	addFetch(cmd, &f.source, &f.fields)
	flags.Lookup("insecure").Usage = "accept any certificate of any server"
	addOutput(cmd, &f.format)
	return cmd
}

func (a *app) importInto(cmd *cobra.Command, dir string, sources []string, f *importFlags) error {
	if info, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return usage("micro-gw init makes a project", "project %s does not exist", dir)
	} else if err == nil && !info.IsDir() {
		return usage("a project is a folder; give its name or path", "%s is not a folder", dir)
	}
	var (
		res  importer.Result
		rest string
		err  error
	)
	if len(sources) > 0 {
		for _, name := range serverFlags {
			if cmd.Flags().Changed(name) {
				return usage("", "--%s is for API Manager, and %s is to be imported", name, sources[0])
			}
		}
		var list []fetch.Source
		header, err := f.fields.header()
		if err != nil {
			return err
		}
		for _, s := range sources {
			if s == "" {
				return usage("", "a source is empty: want a file or URL")
			}
			list = append(list, fetch.Source{Location: s, Header: header, Insecure: f.source.Insecure})
		}
		done := a.err.progress("fetching definitions")
		res, err = importer.Files(cmd.Context(), dir, list)
		done()
		if err != nil {
			return a.importFailure(cmd.Context(), err)
		}
	} else {
		server, query, cors, err := a.server(cmd, f)
		if err != nil {
			return err
		}
		rest = server.Version
		done := a.err.progress("asking API Manager")
		res, err = importer.Server(cmd.Context(), dir, server, query, cors)
		done()
		if err != nil {
			return a.importFailure(cmd.Context(), err)
		}
		u, _, _ := strings.Cut(strings.TrimPrefix(server.Publisher, "https://"), "/")
		if strings.HasPrefix(server.Publisher, "http://") {
			u, _, _ = strings.Cut(strings.TrimPrefix(server.Publisher, "http://"), "/")
			res.Notes = append(res.Notes, "password and token have gone over the network in clear: "+u+" was called without TLS")
		}
		res.Notes = append([]string{fmt.Sprintf("publisher REST API %s at %s", rest, u)}, res.Notes...)
	}
	return a.imported(dir, rest, f.format, res, err)
}

// imported prints what came of an import.
func (a *app) imported(dir, rest string, format output, res importer.Result, err error) error {
	var list diag.List
	for _, s := range res.Skipped {
		list.Warnf(diag.At{}, "%s %s is left out: %s", s.Name, s.Version, s.Reason)
	}
	for _, n := range res.Notes {
		list.Notef(diag.At{}, "%s", n)
	}
	if format == outputJSON {
		if err := a.printJSON(struct {
			Project     string         `json:"project"`
			REST        string         `json:"rest_version,omitempty"`
			APIs        []importer.API `json:"apis"`
			Diagnostics diag.List      `json:"diagnostics"`
		}{dir, rest, append([]importer.API{}, res.APIs...), append(diag.List{}, list...)}); err != nil {
			return err
		}
	} else {
		a.err.diagnostics(list, "import")
		for _, api := range res.APIs {
			fmt.Fprintf(a.out, "%s %s: %s (%s)\n", diag.Printable(api.Name), diag.Printable(api.Version), api.ID, api.State)
		}
	}
	if len(res.APIs) == 0 {
		return failed(errors.New("nothing was imported"))
	}
	if format == outputText {
		fmt.Fprintf(a.out, "%s in %s\nnext: micro-gw build %s\n", count(len(res.APIs), "API", "APIs"), filepath.ToSlash(filepath.Join(dir, importer.Folder)), filepath.Clean(dir))
	}
	return nil
}

func (a *app) importFailure(ctx context.Context, err error) error {
	var (
		notFound *fetch.NotFoundError
		hinted   *apim.Error
	)
	switch {
	case ctx.Err() != nil:
		return failed(errors.New("interrupted"))
	case errors.As(err, &notFound):
		return usage("", "%w", err)
	case errors.As(err, &hinted):
		return &failure{code: exitError, err: err, hint: hinted.Hint}
	}
	return failed(err)
}

// server puts together whom to ask for what: from flags, else from the
// configuration, else from whoever sits at the terminal.
func (a *app) server(cmd *cobra.Command, f *importFlags) (*apim.Server, apim.Query, *apim.CORS, error) {
	given := cmd.Flags().Changed
	none := func(err error) (*apim.Server, apim.Query, *apim.CORS, error) { return nil, apim.Query{}, nil, err }
	for _, name := range serverFlags {
		if v := cmd.Flags().Lookup(name); name != "truststore-pass" && v.Changed && v.Value.String() == "" {
			return none(usage("", "--%s is empty", name))
		}
	}
	switch {
	case given("headers") || given("values"):
		return none(usage("", "--headers and --values are for a URL, and none is given"))
	case !given("label") && !given("api-name") && !given("version"):
		return none(usage("give a file or URL, -l LABEL, or -a NAME and -v VERSION; see "+help(cmd), "nothing to import"))
	case given("api-name") && !given("version"):
		return none(usage("add -v VERSION", "-a needs the API's version"))
	case given("version") && !given("api-name"):
		return none(usage("add -a NAME", "-v needs the API's name"))
	case given("password") && given("password-file"):
		return none(usage("", "-p and --password-file exclude each other"))
	case given("truststore-pass") && given("truststore-pass-file"):
		return none(usage("", "-w and --truststore-pass-file exclude each other"))
	}
	conf, confFile, err := a.toolConfig(f.config)
	if err != nil {
		return none(err)
	}
	setup := apim.Setup{
		BaseURL: conf.Token.BaseURL, APIM: conf.Token.APIMVersion, RESTVersion: conf.Token.RESTVersion, DCRVersion: conf.Token.DCRVersion,
		Publisher: conf.Token.PublisherEndpoint, Registration: conf.Token.RegistrationEndpoint, Token: conf.Token.TokenEndpoint,
	}
	if given("server-url") {
		setup.BaseURL = f.server
	}
	if given("apim-version") {
		setup.APIM, setup.RESTVersion, setup.DCRVersion = f.apimVersion, "", ""
	}
	resolve := func() (apim.Addresses, error) {
		addresses, err := setup.Resolve()
		var se *apim.SetupError
		if errors.As(err, &se) {
			switch {
			case se.Setting == "baseURL" && setup.BaseURL != conf.Token.BaseURL:
				return addresses, usage("", "the server's URL: %s", se.Problem)
			case se.Setting == "apimVersion" && given("apim-version"):
				return addresses, usage("", "--apim-version: %s", se.Problem)
			}
			return addresses, failed(fmt.Errorf("%s: token.%w", confFile, err))
		}
		return addresses, err
	}
	asked := setup.BaseURL == ""
	if asked {
		setup.BaseURL = "https://localhost:9443" // for now: the rest is checked before anybody is asked
	}
	addresses, err := resolve()
	if err != nil {
		return none(err)
	}
	if addresses.Generation == apim.Environments {
		if !given("label") {
			return none(usage("add -l ENVIRONMENT", "API Manager 4 deploys APIs to gateway environments: one has to be named"))
		}
	} else if given("label") && given("api-name") {
		return none(usage("", "-l and -a exclude each other, but for API Manager 4"))
	}
	if s := addresses.Registration + addresses.Token + addresses.Publisher; !strings.Contains(s, setup.BaseURL) {
		asked = false // all three are given without it
	}

	p := a.prompter(cmd.Context())
	s := &apim.Server{ClientID: conf.Token.ClientID, ClientSecret: conf.Token.ClientSecret, Timeout: time.Duration(conf.Client.HTTPRequestTimeout) * time.Millisecond}
	switch {
	case given("username"):
		s.Username = f.username
	case conf.Token.Username != "":
		s.Username = conf.Token.Username
	default:
		if s.Username, err = p.line("User name: ", "user name", "-u"); err != nil {
			return none(err)
		}
	}
	if s.Username = strings.TrimSpace(s.Username); s.Username == "" {
		return none(usage("", "the user name is empty"))
	}
	if strings.Contains(s.Username, ":") { // RFC 7617, section 2
		return none(usage("", "a user name cannot have a colon in it"))
	}
	if s.Password, err = a.password(p, f, given, s.Username); err != nil {
		return none(err)
	}
	if asked {
		answer, err := p.line("URL of API Manager [https://localhost:9443]: ", "URL of API Manager", "-s")
		if err != nil {
			return none(err)
		}
		if answer = strings.TrimSpace(answer); answer != "" {
			setup.BaseURL = answer
		}
		if addresses, err = resolve(); err != nil {
			return none(err)
		}
	}
	s.Addresses = addresses
	if s.HTTP, err = a.httpClient(p, f, given, conf, confFile); err != nil {
		return none(err)
	}
	c := conf.CORS
	return s, f.query, &apim.CORS{Enabled: c.Enabled, Origins: c.Origins, Headers: c.Headers, Methods: c.Methods, Expose: c.Expose, Credentials: c.Credentials}, nil
}

// toolConfig reads the configuration. A file that nobody has named need not
// exist.
func (a *app) toolConfig(file string) (toolconf.Config, string, error) {
	named := file != ""
	if !named {
		file = toolconf.Path()
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		if named {
			return toolconf.Config{}, file, usage("", "configuration %s does not exist", file)
		}
		return toolconf.New(), file, nil
	}
	var l diag.List
	conf, err := toolconf.Load(file, &l)
	if err != nil {
		return conf, file, failed(err)
	}
	if l.HasErrors() {
		l.Sort()
		a.err.diagnostics(l, "import")
		return conf, file, errReported
	}
	return conf, file, nil
}

func (a *app) password(p prompter, f *importFlags, given func(string) bool, user string) (string, error) {
	switch env := os.Getenv("MICRO_GW_PASSWORD"); {
	case given("password"):
		return f.password, nil
	case given("password-file"):
		return secretFile("password", f.passFile)
	case env != "":
		return env, nil
	}
	for range 2 {
		answer, err := p.secret(fmt.Sprintf("Password of %s: ", diag.Printable(user)), "password", "MICRO_GW_PASSWORD, --password-file or -p")
		if err != nil || answer != "" {
			return answer, err
		}
	}
	return "", usage("", "the password is empty")
}

// secretFile reads a secret from the first line of a file.
func secretFile(what, file string) (string, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", usage("", "the file with the %s, %s, does not exist", what, file)
	}
	if err != nil {
		return "", failed(err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	if line = strings.TrimSuffix(line, "\r"); line == "" {
		return "", usage("", "the file with the %s, %s, is empty", what, file)
	}
	return line, nil
}

// defaultStorePass is that of the trust stores which WSO2 3.0 ships.
const defaultStorePass = "ballerina"

func (a *app) httpClient(p prompter, f *importFlags, given func(string) bool, conf toolconf.Config, confFile string) (*http.Client, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: f.source.Insecure} // asked for with -k
	client := &http.Client{Transport: transport}
	store := f.store
	if store == "" {
		if store = conf.Token.TrustStoreLocation; store != "" && !filepath.IsAbs(store) {
			base := filepath.Dir(confFile)
			if home := os.Getenv("MICROGW_HOME"); home != "" {
				base = home
			}
			store = filepath.Join(base, store)
		}
	}
	if store == "" || f.source.Insecure {
		return client, nil
	}
	certificates, err := apim.ReadStore(store)
	if err != nil {
		return nil, failed(err)
	}
	pass := ""
	if certificates.Protected() {
		env := os.Getenv("MICRO_GW_TRUSTSTORE_PASS")
		switch {
		case given("truststore-pass"):
			pass = f.storePass
		case given("truststore-pass-file"):
			if pass, err = secretFile("trust store's password", f.storeFile); err != nil {
				return nil, err
			}
		case env != "":
			pass = env
		case conf.Token.TrustStorePassword != "":
			pass = conf.Token.TrustStorePassword
		default:
			if pass, err = p.secret(fmt.Sprintf("Password of the trust store [%s]: ", defaultStorePass), "password of the trust store", "MICRO_GW_TRUSTSTORE_PASS, --truststore-pass-file or -w"); err != nil {
				return nil, err
			}
			if pass == "" {
				pass = defaultStorePass
			}
		}
	}
	if transport.TLSClientConfig.RootCAs, err = certificates.Roots(pass); err != nil {
		return nil, failed(err)
	}
	return client, nil
}
