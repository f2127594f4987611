//go:build !linux

package revocation

func hugePages([]bucket) {}
