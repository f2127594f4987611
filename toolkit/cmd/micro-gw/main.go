// The command micro-gw builds API gateway projects and helps while they are
// developed. `micro-gw help` says how.
package main

import (
	"os"

	"github.com/microgw/microgw/toolkit/internal/cli"
)

func main() { os.Exit(cli.Main()) }
