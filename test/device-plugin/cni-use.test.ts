// What CNI plugins do with an interface that the device plugin has set up, done by hand on real links: they find it by its alternative
// name, as NetworkAttachmentDefinitions do. The host-device plugin itself runs in test/cluster/interfaces.test.ts.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'

import { resource } from './cluster-in-memory.ts'
import { startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'

function ip(namespace: string, ...args: readonly string[]): string {
  return execFileSync('ip', ['-n', namespace, ...args], { encoding: 'utf8' })
}

test('a link of a pod has the interface as its master, and the interface stays as it should be', async (t) => {
  const node = await startNode(t, { interfaces: 'veth' })
  const namespace = node.bus.networkNamespace ?? assert.fail('its links are in no namespace of their own')
  node.cluster.addNodeENI('upf-control', { enableDPDK: false, dpdkResourceName: undefined, mtu: 1400 })
  await node.startPlugin()
  node.cluster.addAttachment('a', { mac, spec: { nodeENI: 'upf-control', resourceName: undefined } })
  await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  await node.cluster.until(() => node.cluster.device('a')?.health === 'Healthy')

  // macvlan in place of ipvlan, which not every kernel has.
  ip(namespace, 'link', 'add', 'link', 'upf-control', 'name', 'net1', 'type', 'macvlan', 'mode', 'bridge')
  await node.passed()
  await node.passed()
  assert.equal(node.cluster.device('a')?.health, 'Healthy')
  assert.match(ip(namespace, 'link', 'show', 'dev', 'net1'), /mtu 1400/)
})

test('a device is moved into a pod by its alternative name, and the plugin goes on with it', async (t) => {
  const node = await startNode(t, { interfaces: 'veth' })
  const namespace = node.bus.networkNamespace ?? assert.fail('its links are in no namespace of their own')
  const podNamespace = `${namespace}-cni`
  execFileSync('ip', ['netns', 'add', podNamespace])
  t.after(() => execFileSync('ip', ['netns', 'delete', podNamespace]))
  node.cluster.addNodeENI('upf', { enableDPDK: false, interfaceName: 'upf-data0' })
  await node.startPlugin()
  await node.acknowledged('a', mac, 'upf-0')
  assert.ok((await node.kubelet.admit({ namespace: 'core', name: 'upf-0', resource, count: 1 })).admitted)

  ip(namespace, 'link', 'set', 'dev', 'upf-data0', 'netns', podNamespace)
  await node.cluster.until(() => node.cluster.device('a')?.interface === undefined)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy?.name === 'upf-0')
  assert.equal(node.cluster.device('a')?.health, 'Healthy')

  ip(podNamespace, 'link', 'set', 'dev', 'upf-data0', 'netns', namespace)
  node.kubelet.endPod({ namespace: 'core', name: 'upf-0' })
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy === undefined)
  while (!/[<,]UP[,>]/.test(ip(namespace, 'link', 'show', 'dev', 'upf-data0'))) {
    await node.passed()
    await setImmediate()
  }
})
