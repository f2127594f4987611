//go:build !linux

package revocation

func hugePages(table) {}
