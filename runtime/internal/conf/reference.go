package conf

import (
	"fmt"
	"io"
	"strings"
)

const referenceHead = `# micro-gw.conf

<!-- Made by "go generate ./internal/conf" in runtime/ from the code that reads the file. Do not edit. -->

The runtime reads one TOML file, ` + "`--conf FILE`" + `; without one it is a working development
setup. Where a key is set more than once the first of these counts:

1. the command line: ` + "`-e listenerConfig.httpPort=8080`" + `, the last one of a key;
2. the environment: the key with ` + "`_`" + ` for ` + "`.`" + `, as in ` + "`listenerConfig_httpPort=8080`" + `;
3. the file;
4. the default.

` + "`runtime config`" + ` prints what is in force and where each value is from, with secrets masked.

What is wrong is reported all at once, each with its position, and nothing is started. Unknown keys in the file and
on the command line are errors. Unknown variables of the environment are not, except that one that begins
like a table of ours (` + "`listenerConfig_...`" + `) is warned of.

## Values

- Strings may hold ` + "`${env:NAME}`" + ` and ` + "`${file:PATH}`" + `, in every source, and for every type: ` + "`httpPort = \"${env:PORT}\"`" + `.
  Of a file, one line end at its end does not count. A variable or file that is not there is an error.
- Durations are strings with a unit: ` + "`\"500ms\"`, `\"10s\"`, `\"1m30s\"`" + `. WSO2's own keys keep their numbers of milliseconds.
- Lists are TOML lists of strings, or one string with commas, which is the only way in the environment and behind ` + "`-e`" + `.
- Relative paths are relative to the conf file's folder, in the environment and behind ` + "`-e`" + ` to the working directory.
- Keys are case-sensitive. ` + "`[a]` `b.c`, `[a.b]` `c` and `[\"a.b\"]` `c`" + ` are the same key.
- ` + "`${ballerina.home}` and `${mgw-runtime.home}`" + ` are not expanded, and the key stores that WSO2 ships are not used:
  their private keys are public. Set the paths to your own.

## Keys

Column WSO2: the release of WSO2 API Microgateway that has the key; "ours" if none has.
`

const referenceIssuers = `
## Issuers

Whose tokens are accepted: ` + "`[[jwtTokenConfig]]`" + `, once for each issuer, or ` + "`[jwtTokenConfig]`" + ` if there is one. In the
environment and behind ` + "`-e`" + ` they are numbered from 0, as in ` + "`jwtTokenConfig_1_issuer`" + `; without a number the first is
meant. Each issuer needs exactly one of ` + "`discovery`, `jwksURL`, `publicKeyFile` and `certificateAlias`" + `.
`

const referenceOverrides = `
## Endpoints

These keys are named after what they change in the artifact. In the file they stand above the first table.

| Key | Meaning |
| --- | --- |
| ` + "`<api>_prod_endpoint_<i>`, `<api>_sand_endpoint_<i>`" + ` | URL of endpoint *i*, from 0, instead of the one in the definition |
| ` + "`<api>_prod_<i>_etcdKey`, `<api>_sand_<i>_etcdKey`" + ` | its etcd key; no effect in this version |
| ` + "`<api>_prod_basic_username`, `<api>_prod_basic_password`, and with `_sand_`" + ` | credentials for the upstream |
`

const referenceUnused = `
## Keys without effect

Keys of WSO2 API Microgateway that are read so that its files load, and that this version has nothing for. Those that
are set are named in one warning at the start. Where passing over a key would let in what it keeps out, it is refused.

| Key | WSO2 | Instead |
| --- | --- | --- |
`

// Reference writes docs/conf.md.
func Reference(w io.Writer) error {
	var b strings.Builder
	b.WriteString(referenceHead)
	c := Default()
	table := ""
	for i := range configKeys {
		k := &configKeys[i]
		if t, _, _ := strings.Cut(k.name, "."); t != table {
			table = t
			fmt.Fprintf(&b, "\n### %s\n\n", table)
			referenceTable(&b)
		}
		def := code(literal(k.codec.get(c)))
		switch k.name {
		case "development.enabled":
			def = "see there"
		case "mutualSSLConfig.ciphers":
			def = "Go's choice"
		}
		referenceRow(&b, k.name, k.old, k.codec.typ, k.codec.unit, def, environment(k.name), k.since, k.doc)
	}
	b.WriteString(referenceIssuers + "\n")
	referenceTable(&b)
	for i := range issuerKeys {
		k := &issuerKeys[i]
		referenceRow(&b, issuerTable+"."+k.name, k.old, k.codec.typ, k.codec.unit, "none", issuerTable+"_0_"+k.name, k.since, k.doc)
	}
	for _, r := range rowTables {
		r.reference(&b)
	}
	b.WriteString(referenceOverrides)
	b.WriteString(referenceUnused)
	for i := range unusedKeys {
		u := &unusedKeys[i]
		what := u.note
		if u.refuse != "" {
			what += ". **Refused**"
			if len(u.harmless) > 0 {
				quoted := make([]string, 0, len(u.harmless))
				for _, h := range u.harmless {
					if strings.HasSuffix(h, ".p12") {
						h = "WSO2's own " + h
					} else {
						h = code(quoteUnless(h))
					}
					quoted = append(quoted, h)
				}
				what += " unless " + strings.Join(quoted, " or ")
			}
		}
		name := strings.ReplaceAll(strings.ReplaceAll(u.name, ".#", ""), "*", "<name>")
		fmt.Fprintf(&b, "| %s | %s | %s |\n", code(name), u.since, cell(what))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func quoteUnless(s string) string {
	if s == "false" || s == "true" {
		return s
	}
	return quote(s)
}

func referenceTable(b *strings.Builder) {
	b.WriteString("| Key | Type | Default | Environment | WSO2 | Meaning |\n| --- | --- | --- | --- | --- | --- |\n")
}

func referenceRow(b *strings.Builder, name string, old []string, typ, unit, def, env, since, doc string) {
	if unit != "" {
		typ += ", " + unit
	}
	if since == "" {
		since = "ours"
	}
	for _, o := range old {
		doc += " Also " + code(o) + "."
	}
	fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s |\n", code(name), cell(typ), def, code(env), since, cell(doc))
}

func code(s string) string { return "`" + cell(s) + "`" }

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
