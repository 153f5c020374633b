# Every target sets up what it needs. The project runs its own pinned Node, whatever the machine has.
NODE := node_modules/.bin/node
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

modules := node_modules/.package-lock.json
generated := src/device-plugin/gen/deviceplugin.ts

.PHONY: setup demo test check test-fast test-cluster bench crd format clean

setup: $(modules) $(generated)
	@$(NODE) sim/cluster/binaries/main.ts

# Versions and checksums are those of the lock file. `npm ci` would refuse it where a registry does not carry the optional
# packages of platforms that are not ours.
$(modules): package.json package-lock.json
	npm install --no-save --ignore-scripts --no-audit --no-fund
	@touch $@

$(generated): $(modules) proto/deviceplugin.proto proto/podresources.proto src/device-plugin/gen-types.ts
	@$(NODE) src/device-plugin/gen-types.ts
	@touch $@

## The main job on two real nodes, live. KEEP=1 leaves the cluster running.
demo: setup
	@KEEP=$(KEEP) $(NODE) sim/demo/main.ts

## All checks and tests, the fast ones first.
test: check test-fast test-cluster

check: $(modules) $(generated)
	tsc --noEmit
	oxlint --type-aware --deny-warnings
	oxfmt --check

test-fast: $(modules) $(generated)
	$(NODE) --test 'test/{api,kube,process,extender,attacher,device-plugin,sim-*}/**/*.test.ts'

## Real etcd, API server, schedulers, kubelets and containerd; needs root.
test-cluster: setup
	$(NODE) --test --test-concurrency=1 'test/cluster/**/*.test.ts'

## Latency of a pod from its creation to its Binding, on the real cluster.
bench: setup
	$(NODE) bench/jit.ts

## Writes the CRDs of deploy/crds from src/api.
crd: $(modules)
	$(NODE) src/api/generate-crds.ts

format: $(modules)
	oxfmt

clean:
	rm -rf node_modules dist src/device-plugin/gen bench/results
