# Every target sets up what it needs. The project runs its own pinned Node, whatever the machine has.
NODE := node_modules/.bin/node
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

modules := node_modules/.package-lock.json
generated := src/device-plugin/gen/deviceplugin.ts

# The oldest Node that must work (engines in package.json): its binary only, kept beside the Kubernetes binaries.
node24_version := 24.21.0
node24_dir := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/jit-eni/node-$(node24_version)
node24_package := node-linux-$(if $(filter aarch64,$(shell uname -m)),arm64,x64)
NODE24 := $(node24_dir)/node_modules/$(node24_package)/bin/node

fast_tests := 'test/{api,kube,process,extender,attacher,device-plugin,deploy,sim-*}/**/*.test.ts'
# A test that hangs fails, with its name.
run_tests := --test --test-timeout=600000
# In virtual machines that are emulated one takes ten minutes.
run_kernel_tests := --test --test-timeout=1500000 --test-concurrency=1
# Most of them wait most of their time, so that there is room for more than processors.
at_once := --test-concurrency=3

# The cluster tests need all processors: nothing else runs beside them.
.NOTPARALLEL:
.PHONY: setup demo test check test-fast test-node24 test-cluster test-kernel crash model mutants bench bench-device-plugin bench-ec2 bench-extender bench-memory crd format clean

setup: $(modules) $(generated)
	@$(NODE) sim/cluster/binaries/main.ts

# Versions and checksums are those of the lock file. `npm ci` refuses one that does not list the optional packages of all
# platforms, and a registry need not carry those that are not ours.
$(modules): package.json package-lock.json
	npm install --no-save --ignore-scripts --no-audit --no-fund
	@touch $@

$(generated): $(modules) proto/deviceplugin.proto proto/podresources.proto src/device-plugin/gen-types.ts
	@$(NODE) src/device-plugin/gen-types.ts
	@touch $@

## The main job on two real nodes, live. KEEP=1 leaves the cluster running; REAL=1 makes the nodes virtual machines, with a real kernel.
demo: setup
	@$(if $(REAL),npm run --silent build)
	@KEEP=$(KEEP) REAL=$(REAL) $(NODE) sim/demo/main.ts

## All checks and tests, the fast ones first.
test: check test-fast crash test-node24 test-cluster test-kernel

check: $(modules) $(generated)
	tsc --noEmit
	oxlint --type-aware --deny-warnings
	oxfmt --check

test-fast: $(modules) $(generated)
	$(NODE) $(run_tests) $(at_once) $(fast_tests)

test-node24: $(modules) $(generated) $(NODE24)
	PATH=$(dir $(NODE24)):$$PATH $(NODE24) $(run_tests) $(at_once) $(fast_tests)

$(NODE24):
	npm install --prefix $(node24_dir) --no-save --no-audit --no-fund $(node24_package)@$(node24_version)

## The attacher dies before and after each of its calls in turn. ONLY=... replays the run that a violation names, or a whole story
## of test/attacher/crash/stories.ts, such as ONLY=one-pod. SEED=... lets EC2 draw other lags.
crash: $(modules) $(generated)
	SEED=$(SEED) $(NODE) test/attacher/crash/explore.ts $(ONLY)

## Random orders of all that may happen around the attacher, RUNS of them from SEED on. SEED=... RUN=... replays the one that a
## failure names.
model: $(modules) $(generated)
	@RUNS=$(RUNS) SEED=$(SEED) RUN=$(RUN) ABOUT="$(ABOUT)" $(NODE) test/attacher/model/explore.ts

## Faults put into a copy of the attacher on purpose: each must be caught by a test. ONLY="..." are those with this in their name.
mutants: $(modules) $(generated)
	$(NODE) test/mutants/main.ts "$(ONLY)"

## Real etcd, API server, schedulers, kubelets and containerd; needs root.
test-cluster: setup
	$(NODE) $(run_tests) --test-concurrency=1 'test/cluster/**/*.test.ts'

## Virtual machines with a real kernel, vfio and hot-plugged cards as nodes of such a cluster; says why where there can be none.
test-kernel: setup
	$(NODE) $(run_kernel_tests) 'test/kernel/**/*.test.ts'

## Latency of a pod from its creation to its Binding, on the real cluster.
bench: setup
	$(NODE) bench/jit.ts

## From a card that the device plugin sees to a device that the kubelet has, and from its start to its registration.
bench-device-plugin: setup
	npm run build
	CARDS=$(CARDS) STARTS=$(STARTS) $(NODE) bench/device-plugin.ts

## How near the attacher comes to what EC2's token buckets allow, on virtual time.
bench-ec2: $(modules)
	$(NODE) bench/ec2.ts

## The extender under load: filter, bind, kube-scheduler's throughput, memory, 1,000 pods at once. bench/extender.ts says how to take
## parts of it, or a quick look.
bench-extender: setup
	@npm run --silent build
	@$(NODE) bench/extender.ts

## Memory of the device plugin while the kubelet gets 10,000 device lists. LISTS=... of them for a quick look.
bench-memory: $(modules) $(generated)
	@npm run --silent build
	@LISTS=$(LISTS) $(NODE) bench/device-plugin-memory.ts

## Writes the CRDs of deploy/crds from src/api.
crd: $(modules)
	$(NODE) src/api/generate-crds.ts

format: $(modules)
	oxfmt

clean:
	rm -rf node_modules dist src/device-plugin/gen bench/results
