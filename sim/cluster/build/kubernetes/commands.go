//go:build tools

// Package commands names the programs to build, so that `go mod tidy` keeps go.sum complete for them.
// Kubernetes replaces its staging modules by folders of its own tree; go.mod replaces them by their releases.
package commands

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
