// A pod's demand is what the kubelet will allocate for it: containers, init containers one after the other, sidecars throughout.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { V1Container, V1Pod } from '@kubernetes/client-node'
import fc from 'fast-check'

import { podDemand } from '../../src/api/pod-demand.ts'

const upf = 'intel.com/upf_dataplane'
const sriov = 'intel.com/sriov_kernel'

function container(limits: Record<string, string>, more: Partial<V1Container> = {}): V1Container {
  return { name: 'c', resources: { limits }, ...more }
}

function demandOf(containers: V1Container[], initContainers: V1Container[] = []): Record<string, number> {
  const pod: Pick<V1Pod, 'spec'> = { spec: { containers, initContainers } }
  return Object.fromEntries(podDemand(pod, new Set([upf, sriov])))
}

const sidecar = { restartPolicy: 'Always' }

test('containers add up, per resource', () => {
  const demand = demandOf([container({ [upf]: '1', cpu: '2' }), container({ [upf]: '2', [sriov]: '1' })])
  assert.deepEqual(demand, { [upf]: 3, [sriov]: 1 })
})

test('an init container gives its devices to the containers after it', () => {
  assert.deepEqual(demandOf([container({ [upf]: '1' })], [container({ [upf]: '1' })]), { [upf]: 1 })
  assert.deepEqual(demandOf([container({ [upf]: '1' })], [container({ [upf]: '3' })]), { [upf]: 3 })
})

test('a sidecar keeps its devices beside the containers and beside later init containers', () => {
  assert.deepEqual(demandOf([container({ [upf]: '1' })], [container({ [upf]: '1' }, sidecar)]), { [upf]: 2 })
  const inits = [container({ [upf]: '2' }, sidecar), container({ [upf]: '2' })]
  assert.deepEqual(demandOf([container({ [upf]: '1' })], inits), { [upf]: 4 })
  assert.deepEqual(demandOf([container({ [upf]: '1' })], inits.toReversed()), { [upf]: 3 })
})

test('a pod that names nothing that is managed has no demand; one that asks for 0 names it, as for kube-scheduler', () => {
  assert.deepEqual(demandOf([container({ [upf]: '0' }), container({ cpu: '1' }), { name: 'c' }]), { [upf]: 0 })
  assert.deepEqual(demandOf([container({ cpu: '1' })]), {})
  assert.equal(podDemand({}, new Set([upf])).size, 0)
})

test('a quantity may be written with a suffix or an exponent', () => {
  const written = { '2e0': 2, '1k': 1000, '1Ki': 1024, '0.002M': 2000 }
  for (const [quantity, count] of Object.entries(written)) {
    assert.deepEqual(demandOf([container({ [upf]: quantity })]), { [upf]: count }, quantity)
  }
})

test('a quantity that is not understood is more than any node has', () => {
  for (const quantity of ['1E', '3Ti', '-1', 'many']) {
    assert.deepEqual(demandOf([container({ [upf]: quantity })]), { [upf]: Number.MAX_SAFE_INTEGER }, quantity)
  }
})

/** kubelet, pkg/kubelet/cm/devicemanager/manager.go: Allocate with devicesToReuse, container by container, as the pod starts. */
function allocatedByKubelet(
  inits: readonly { count: number; isSidecar: boolean }[],
  counts: readonly number[],
): number {
  let allocated = 0
  let reusable = 0
  for (const { count, isSidecar } of inits) {
    const reused = Math.min(reusable, count)
    allocated += count - reused
    reusable = isSidecar ? reusable - reused : reusable + count - reused
  }
  for (const count of counts) {
    const reused = Math.min(reusable, count)
    allocated += count - reused
    reusable -= reused
  }
  return allocated
}

test('demand is what the kubelet allocates, for any pod', () => {
  const inits = fc.array(fc.record({ count: fc.nat(4), isSidecar: fc.boolean() }), { maxLength: 6 })
  fc.assert(
    fc.property(inits, fc.array(fc.nat(4), { minLength: 1, maxLength: 4 }), (init, counts) => {
      const containers = counts.map((count) => container({ [upf]: String(count) }))
      const initContainers = init.map(({ count, isSidecar }) =>
        container({ [upf]: String(count) }, isSidecar ? sidecar : {}),
      )
      assert.equal(demandOf(containers, initContainers)[upf] ?? 0, allocatedByKubelet(init, counts))
    }),
  )
})
