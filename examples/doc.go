// Package examples holds what runs both programs together: folders for users to
// copy, the demo, and stories told over real sockets. All of it is tested: what
// the README of an example says is typed into a shell (shell_test.go), and what
// the pages of docs/ say of commands, flags and keys is held against the
// programs (docs_test.go).
package examples
