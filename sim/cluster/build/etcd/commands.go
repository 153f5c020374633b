//go:build tools

// Package commands names the program to build, so that `go mod tidy` keeps go.sum complete for it.
package commands

import (
	_ "go.etcd.io/etcd/server/v3"
)
