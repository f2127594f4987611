//go:build !linux

package cli

import "syscall"

// childAttributes has nothing to add here: a Ctrl-C may reach the child twice,
// which shortens its grace and does no other harm.
func childAttributes() *syscall.SysProcAttr { return nil }
