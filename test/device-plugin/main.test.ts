// The program as it is deployed: what it writes where, and how it ends.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import { eniFinalizer } from '../../src/api/names.ts'
import { startProgramNode } from './program-under-test.ts'

const mac = '02:00:00:00:00:66'

test('a card becomes a device, its claim is acknowledged, and on release only our finalizer goes', async (t) => {
  const node = await startProgramNode(t)
  const program = node.start()
  await node.kubelet.effects.until(() => node.kubelet.counts().size > 0)
  await node.attach('a', mac, 'pod-1')
  await node.until('a', (device) => device?.acknowledged === 'pod-1')
  const { status } = node.api.store('eniattachments').get('a') as unknown as ENIAttachment
  assert.equal(status?.phase, 'Ready')
  assert.equal(status?.eni?.eniID, 'eni-a')
  assert.equal(status?.device?.driver, 'vfio-pci')

  node.release('a')
  await node.released('a')
  assert.deepEqual(node.api.store('eniattachments').get('a')?.metadata.finalizers, [eniFinalizer])
  assert.equal(node.driverOf(mac), 'ena')

  assert.equal(await program.end('SIGTERM'), 0)
  const told = [
    'resource registered',
    'ready',
    'card seen',
    'card bound',
    'device advertised',
    'claim acknowledged',
    'card restored',
    'card released',
  ]
  assert.deepEqual(
    told.filter((text) => program.has(text)),
    told,
  )
})

test('killed while a pod has its device, it finds all as it was and touches nothing', async (t) => {
  const node = await startProgramNode(t)
  const first = node.start()
  await node.attach('a', mac, 'pod-1')
  await node.until('a', (device) => device?.acknowledged === 'pod-1')
  assert.ok((await node.admit('upf-0')).admitted)
  await node.until('a', (device) => device?.inUseBy?.name === 'upf-0')
  const before = node.device('a')
  const gone = node.allocatable(0)
  await first.end('SIGKILL')
  await gone

  const second = node.start()
  await node.allocatable(1)
  await node.looked()
  assert.deepEqual(node.device('a'), before)
  assert.equal(node.driverOf(mac), 'vfio-pci')
  assert.ok(!second.has('card bound'))
  assert.equal(node.sockets().length, 1)
})
