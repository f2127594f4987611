package cli

import (
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// stopPatience is how long the runtime may take to stop; more than the grace
// that it gives requests in flight.
const stopPatience = 30 * time.Second

// A child is a process that micro-gw started and stops.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the process is gone
	err  error         // how it ended; read it after done
}

func startChild(path string, args []string, stdout, stderr io.Writer) (*child, error) {
	c := &child{cmd: exec.Command(path, args...), done: make(chan struct{})}
	c.cmd.Stdout, c.cmd.Stderr = stdout, stderr
	c.cmd.SysProcAttr = childAttributes()
	c.cmd.WaitDelay = time.Second
	started := make(chan error)
	go func() {
		defer close(c.done)
		// Linux sends Pdeathsig when the thread ends that started the process,
		// so that thread must live as long as the process does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.err = c.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return c, nil
}

// stop asks the process to end, waits for it, and ends it if it does not.
func (c *child) stop() {
	select {
	case <-c.done:
		return
	default:
	}
	// An error means that it is gone already, or that there is no SIGTERM on
	// this system.
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		_ = c.cmd.Process.Kill()
	}
	timer := time.NewTimer(stopPatience)
	defer timer.Stop()
	select {
	case <-c.done:
	case <-timer.C:
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}
