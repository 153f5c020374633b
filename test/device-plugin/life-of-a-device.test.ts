// From a card that is plugged to a card that is gone, with the kubelet and sysfs in between.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { resource } from './cluster-in-memory.ts'
import { startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'

test('every resource that may come to the node is registered at once with an empty list', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  node.cluster.addNodeENI('elsewhere', { nodeSelector: { upf: 'no' }, dpdkResourceName: 'intel.com/elsewhere' })
  node.cluster.addNodeENI('unmanaged', { dpdkResourceName: 'intel.com/unmanaged' })
  await node.startPlugin()
  await node.kubelet.effects.until(() => node.kubelet.counts().has(resource))
  assert.deepEqual([...node.kubelet.counts()], [[resource, { capacity: 0, allocatable: 0 }]])
})

test('a plugged card is bound, advertised and acknowledged, then a pod has it, then it goes back to the kernel', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.kubelet.effects.until(() => node.kubelet.counts().has(resource))
  node.cluster.addAttachment('a', { mac, claim: { namespace: 'core', name: 'upf-0', uid: 'pod-1' } })
  const plugged = performance.now()
  const { bdf } = await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  await node.cluster.until(() => node.cluster.device('a')?.acknowledged === 'pod-1')
  const ms = performance.now() - plugged
  t.diagnostic(`plugged to acknowledged: ${ms.toFixed(0)} ms; status writes: ${node.cluster.written.length}`)
  const device = node.cluster.device('a')
  assert.equal(device?.pciAddress, bdf)
  assert.equal(device?.driver, 'vfio-pci')
  assert.equal(device?.health, 'Healthy')
  assert.equal(device?.advertised, true)
  assert.equal(node.cluster.get('a')?.status?.phase, 'Ready')

  const pod = await node.kubelet.admit({ namespace: 'core', name: 'upf-0', resource, count: 1 })
  assert.ok(pod.admitted)
  assert.deepEqual(pod.devices, [bdf])
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy?.name === 'upf-0')

  node.cluster.delete('a')
  node.kubelet.endPod({ namespace: 'core', name: 'upf-0' })
  node.cluster.setClaim('a', undefined)
  await node.cluster.until(() => node.cluster.isReleased('a'))
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
  assert.deepEqual(node.kubelet.counts().get(resource), { capacity: 0, allocatable: 0 })
})

test('the process that writes to sysfs is started when an ENI is on its way, before its card is there', async (t) => {
  const warmed = Promise.withResolvers<void>()
  let times = 0
  const node = await startNode(t, {
    controlWrites: (real) => ({
      write: (card, writes) => real.write(card, writes),
      warmUp: () => {
        times++
        warmed.resolve()
      },
    }),
  })
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.passed()
  assert.equal(times, 0, 'nothing is to be written')
  // EC2 has not made the ENI yet.
  node.cluster.addAttachment('a')
  await warmed.promise
})

test('it is ready when every resource is registered, and its metrics count devices and answers', async (t) => {
  const node = await startNode(t)
  node.kubelet.refuseRegister('not now')
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.logged('registration failed, trying again')
  assert.equal(node.status.notReady(), `resource ${resource} is not registered with the kubelet`)
  node.kubelet.refuseRegister(null)
  await node.logged('resource registered')
  assert.equal(node.status.notReady(), undefined)
  await node.acknowledged('a', mac, 'pod-1')
  await node.kubelet.admit({ namespace: 'core', name: 'upf-0', resource, count: 1 })
  const text = await node.status.metrics.metrics()
  assert.match(text, /jiteni_device_plugin_devices\{resource="intel.com\/upf_dataplane",health="Healthy",reason=""\} 1/)
  assert.match(
    text,
    /jiteni_device_plugin_allocations_total\{resource="intel.com\/upf_dataplane",outcome="granted"\} 1/,
  )
  assert.match(text, /jiteni_device_plugin_acknowledge_duration_seconds_count 1/)
})
