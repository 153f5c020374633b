// The device-info files: there from Allocate on for as long as the kubelet does not say that nobody has the device.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { deviceInfoFileName } from '../../src/device-plugin/device-info.ts'
import { resource } from './cluster-in-memory.ts'
import { type NodeUnderTest, startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'
const pod = { namespace: 'core', name: 'upf-0' }

/** As Multus composes it (pkg/utils/cniconfig.go). */
function fileOf(node: NodeUnderTest, bdf: string): string {
  return join(node.deviceInfoDir, `intel.com-upf_dataplane-${bdf}-device.json`)
}

async function removed(node: NodeUnderTest, path: string): Promise<void> {
  while (existsSync(path)) {
    await node.passed()
    // A pass alone lets no file be removed.
    await new Promise(setImmediate)
  }
}

async function ended(node: NodeUnderTest): Promise<void> {
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)
  node.kubelet.endPod(pod)
}

test('it is written before Allocate is answered, read-only for all, and removed when the pod has ended', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  assert.ok(!existsSync(fileOf(node, bdf)))
  assert.ok((await node.kubelet.admit({ ...pod, resource, count: 1 })).admitted)
  assert.deepEqual(JSON.parse(readFileSync(fileOf(node, bdf), 'utf8')), {
    type: 'pci',
    version: '1.1.0',
    pci: { 'pci-address': bdf },
  })
  assert.equal(statSync(fileOf(node, bdf)).mode & 0o777, 0o444)
  assert.deepEqual(readdirSync(node.deviceInfoDir), [deviceInfoFileName(resource, bdf)])
  await ended(node)
  await removed(node, fileOf(node, bdf))
})

test('an old file is replaced; files of other plugins and of other resources stay', async (t) => {
  const node = await startNode(t)
  mkdirSync(node.deviceInfoDir, { recursive: true })
  const foreign = ['intel.com-upf_dataplane_2-0000:00:06.0-device.json', 'intel.com-upf_dataplane-vf1-device.json']
  for (const name of foreign) writeFileSync(join(node.deviceInfoDir, name), 'theirs', { mode: 0o444 })
  writeFileSync(fileOf(node, '0000:00:06.0'), 'old', { mode: 0o444 })
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  assert.ok((await node.kubelet.admit({ ...pod, resource, count: 1 })).admitted)
  assert.match(readFileSync(fileOf(node, bdf), 'utf8'), /"pci-address":"0000:00:06.0"/)
  await ended(node)
  await removed(node, fileOf(node, bdf))
  assert.deepEqual(readdirSync(node.deviceInfoDir).toSorted(), foreign.toSorted())
})

test('a plugin that starts anew keeps the file of a pod that runs, and removes it when that has ended', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  assert.ok((await node.kubelet.admit({ ...pod, resource, count: 1 })).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)
  await node.stopPlugin()
  assert.ok(existsSync(fileOf(node, bdf)), 'the pod may be in the middle of its CNI ADD')
  node.kubelet.stop()
  await node.startPlugin()
  await node.passed()
  await node.passed()
  assert.ok(existsSync(fileOf(node, bdf)), 'the kubelet has not spoken yet')
  await node.kubelet.start()
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
  await node.passed()
  assert.ok(existsSync(fileOf(node, bdf)))
  node.kubelet.endPod(pod)
  await removed(node, fileOf(node, bdf))
})

test('a pod is not refused for want of the file, and the log says that it is missing', async (t) => {
  const node = await startNode(t)
  mkdirSync(join(node.root, 'devinfo'))
  writeFileSync(node.deviceInfoDir, 'a file where the directory should be')
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.acknowledged('a', mac, 'pod-1')
  assert.ok((await node.kubelet.admit({ ...pod, resource, count: 1 })).admitted)
  assert.equal(node.lines('device-info file not written; network-status will lack it').length, 1)
  rmSync(node.deviceInfoDir)
})
