//go:build !profile

package main

// profile does nothing; see profile_on.go.
func profile() (stop func()) { return func() {} }
