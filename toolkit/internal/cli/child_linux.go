package cli

import "syscall"

// childAttributes puts the child in a process group of its own, so that Ctrl-C
// reaches micro-gw alone and the child gets one signal and not two: a runtime
// takes the second one for impatience. If micro-gw dies without a word, the
// kernel stops the child.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
