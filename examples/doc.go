// Package examples holds what runs both programs together: the demo, and
// stories told over real sockets that double as tests.
package examples
