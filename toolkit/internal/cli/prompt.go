package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/term"
)

// A prompter asks the person at the terminal, if there is one.
type prompter struct {
	ctx context.Context
	out io.Writer
	in  *os.File
}

func (a *app) prompter(ctx context.Context) prompter { return prompter{ctx, a.err, os.Stdin} }

// line asks for a line. Where nobody can be asked it is a wrong command line that
// lacks the flag (and not a job that hangs).
func (p prompter) line(question, lacking, flag string) (string, error) {
	return p.ask(question, lacking, flag, func() (string, error) {
		// One byte at a time: whatever is behind the line is for the next
		// question.
		var line []byte
		b := make([]byte, 1)
		for {
			n, err := p.in.Read(b)
			switch {
			case n == 1 && b[0] == '\n', errors.Is(err, io.EOF):
				return string(line), nil
			case err != nil:
				return "", err
			case n == 1 && b[0] != '\r':
				line = append(line, b[0])
			}
			if len(line) > 4096 {
				return "", errors.New("the line is too long")
			}
		}
	})
}

// secret asks for a line without showing it.
func (p prompter) secret(question, lacking, flag string) (string, error) {
	return p.ask(question, lacking, flag, func() (string, error) {
		b, err := term.ReadPassword(int(p.in.Fd()))
		fmt.Fprintln(p.out)
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return string(b), err
	})
}

func (p prompter) ask(question, lacking, flag string, read func() (string, error)) (string, error) {
	fd := int(p.in.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", usage("give it with "+flag, "no %s, and no terminal to ask for it", lacking)
	}
	fmt.Fprint(p.out, question)
	type answer struct {
		text string
		err  error
	}
	got := make(chan answer, 1)
	go func() {
		text, err := read()
		got <- answer{text, err}
	}()
	select {
	case a := <-got:
		if a.err != nil {
			return "", failed(fmt.Errorf("reading the %s: %w", lacking, a.err))
		}
		return a.text, nil
	case <-p.ctx.Done():
		// The reader still waits, without echo perhaps.
		_ = term.Restore(fd, state)
		fmt.Fprintln(p.out)
		return "", failed(errors.New("interrupted"))
	}
}
