// Pods with several containers, devices and resources; and which of several devices the kubelet is advised to take.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { resource } from './cluster-in-memory.ts'
import { type NodeUnderTest, startNode } from './node-under-test.ts'

const other = 'intel.com/upf-n3'
const pod = { namespace: 'core', name: 'upf-0' }

async function idle(node: NodeUnderTest, name: string, last: number, resourceName = resource): Promise<string> {
  const mac = `02:00:00:00:00:${last}`
  node.cluster.addAttachment(name, { mac, spec: { resourceName } })
  const { bdf } = await node.bus.plug({ mac, eniId: `eni-${name}`, deviceIndex: 1 })
  await node.cluster.until(() => node.cluster.device(name)?.advertised === true)
  return bdf
}

test('each container is given its own devices of each resource, each by name and with its ENI', async (t) => {
  const node = await startNode(t, { resources: [resource, other] })
  node.cluster.addNodeENI('upf')
  node.cluster.addNodeENI('n3', { dpdkResourceName: other })
  await node.startPlugin()
  await node.kubelet.effects.until(() => node.kubelet.counts().has(resource) && node.kubelet.counts().has(other))
  for (const [index, name] of ['a', 'b', 'c'].entries()) await idle(node, name, 61 + index)
  const n3 = await idle(node, 'd', 64, other)
  const admission = await node.kubelet.admit({
    ...pod,
    containers: [
      { name: 'forward', kind: 'app', limits: { [resource]: 2, [other]: 1 } },
      { name: 'standby', kind: 'app', limits: { [resource]: 1 } },
    ],
  })
  assert.ok(admission.admitted, JSON.stringify(admission))
  assert.equal(new Set(admission.devices).size, 4)
  const forward = await node.kubelet.startContainer(pod, 'forward')
  const standby = await node.kubelet.startContainer(pod, 'standby')
  assert.ok(forward.started && standby.started)
  const pairs = forward.envs['PCIDEVICE_INTEL_COM_UPF_DATAPLANE']?.split(',') ?? []
  assert.equal(pairs.length, 2)
  assert.equal(forward.envs['PCIDEVICE_INTEL_COM_UPF-N3'], n3)
  assert.ok(!pairs.includes(standby.envs['PCIDEVICE_INTEL_COM_UPF_DATAPLANE'] ?? ''))
  assert.equal(standby.envs['PCIDEVICE_INTEL_COM_UPF-N3'], undefined)
  const info = JSON.parse(forward.envs['PCIDEVICE_INTEL_COM_UPF_DATAPLANE_INFO'] ?? '') as object
  assert.deepEqual(Object.keys(info), pairs)
  // The vfio container once, and a group for each device.
  const paths = (nodes: readonly { readonly containerPath: string }[]) =>
    nodes.map(({ containerPath }) => containerPath)
  assert.equal(new Set(paths(forward.nodes)).size, 4)
  assert.equal(forward.nodes.length, 4)
  assert.equal(paths(standby.nodes).filter((path) => path !== '/dev/vfio/vfio').length, 1)
})

test('a resource whose name cannot be served is refused with the reason, registered all the same, and others go on', async (t) => {
  const bad = 'intel.com/5g_upf'
  const node = await startNode(t, { resources: [resource, bad] })
  node.cluster.addNodeENI('upf')
  node.cluster.addNodeENI('5g', { dpdkResourceName: bad })
  await node.startPlugin()
  assert.match(String(node.lines('resource not served')[0]?.['reason']), /intel\.com\/5g_upf cannot be a CDI kind/)
  node.cluster.addAttachment('z', { mac: '02:00:00:00:00:70', spec: { resourceName: bad } })
  await node.bus.plug({ mac: '02:00:00:00:00:70', eniId: 'eni-z', deviceIndex: 1 })
  await node.cluster.until(() => node.cluster.device('z')?.failure?.reason === 'ResourceNotServed')
  assert.equal(node.cluster.device('z')?.failure?.terminal, true)
  await idle(node, 'a', 61)
  // Without its name the kubelet would admit a pod that asks for it, and run it without.
  assert.deepEqual(node.kubelet.counts().get(bad), { capacity: 0, allocatable: 0 })
  assert.equal(node.bus.cards().find(({ mac }) => mac === '02:00:00:00:00:70')?.driver, 'ena')
})

test('the kubelet takes the device on whose strength the pod was promised one, and idle ones stay idle', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  for (const [index, name] of ['a', 'b', 'c', 'd'].entries()) await idle(node, name, 61 + index)
  const promised = await node.acknowledged('e', '02:00:00:00:00:65', 'pod-1')
  await node.passed()
  const admission = await node.kubelet.admit({ ...pod, resource, count: 1 })
  assert.deepEqual(admission.admitted && admission.devices, [promised])
})
