// Release: out of the kubelet before out of the driver before out of the object, and never under a pod.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { type ControlWrites, type WriteOutcome, WriterProcess } from '../../src/device-plugin/control-writes.ts'
import { resource } from './cluster-in-memory.ts'
import { startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'
const otherMac = '02:00:00:00:00:67'

test('a device is Unhealthy, then out of the list, then back with the kernel, then its finalizer ends', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  const story: string[] = []
  node.kubelet.effects.on('listed', (_resource, devices) => {
    const device = devices.find(({ id }) => id === bdf)
    story.push(device === undefined ? 'not listed' : device.healthy ? 'healthy' : 'unhealthy')
  })
  node.bus.effects.on('bound', ({ driver }) => story.push(`bound to ${driver}`))
  node.cluster.onChange(() => {
    if (node.cluster.isReleased('a')) story.push('released')
  })
  node.cluster.delete('a')
  node.cluster.setClaim('a', undefined)
  await node.cluster.until(() => node.cluster.isReleased('a'))
  assert.deepEqual(story.slice(0, 4), ['unhealthy', 'not listed', 'bound to ena', 'released'])
})

test('a deleted object waits for its pod, and the pod may even start meanwhile', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  node.cluster.delete('a')
  const pod = await node.kubelet.admit({ namespace: 'core', name: 'upf-0', resource, count: 1 })
  assert.ok(pod.admitted)
  node.cluster.setClaim('a', undefined)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy?.name === 'upf-0')
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'vfio-pci')
  assert.equal(node.kubelet.counts().get(resource)?.allocatable, 1)
  node.kubelet.endPod({ namespace: 'core', name: 'upf-0' })
  await node.cluster.until(() => node.cluster.isReleased('a'))
})

test('a pod for which the kubelet has just chosen the device gets it, and the release waits for that pod', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  node.cluster.setClaim('a', undefined)
  const callAllocate = node.kubelet.holdAllocate()
  const chosen = once(node.kubelet.effects, 'allocate-held')
  const admission = node.kubelet.admit({ namespace: 'core', name: 'upf-0', resource, count: 1 })
  await chosen
  // The kubelet hears of the release between its choice and its call.
  node.kubelet.effects.once('listed', callAllocate)
  node.cluster.delete('a')
  const pod = await admission
  assert.ok(pod.admitted, pod.admitted ? '' : pod.message)
  assert.deepEqual(pod.devices, [bdf])
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy?.name === 'upf-0')
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === 1)
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'vfio-pci')

  node.kubelet.endPod({ namespace: 'core', name: 'upf-0' })
  await node.cluster.until(() => node.cluster.isReleased('a'))
})

test('a bind that was cut off after its first write leaves no override on the card', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  await node.stopPlugin()
  await node.giveTo(bdf, 'ena')
  const override = join(node.root, `sys/bus/pci/devices/${bdf}/driver_override`)
  writeFileSync(override, 'vfio-pci\n')
  node.cluster.delete('a')
  node.cluster.setClaim('a', undefined)
  await node.startPlugin()
  await node.cluster.until(() => node.cluster.isReleased('a'))
  // A bare newline is written over it, which clears it (sim/pci/card.ts).
  assert.equal(readFileSync(override, 'utf8').split('\n', 1)[0], '')
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
})

test('an object that never got an ENI is released at once', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  node.cluster.addAttachment('a', { claim: { namespace: 'core', name: 'upf-0', uid: 'pod-1' } })
  node.cluster.delete('a')
  await node.cluster.until(() => node.cluster.isReleased('a'))
})

test('an object whose card has vanished is released, and the device leaves the list', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.acknowledged('a', mac, 'pod-1')
  await node.bus.unplug({ mac })
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'CardMissing')
  node.cluster.delete('a')
  node.cluster.setClaim('a', undefined)
  await node.cluster.until(() => node.cluster.isReleased('a'))
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.capacity === 0)
})

test('the next card at the address of one that vanished is another device', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  await node.bus.unplug({ mac })
  assert.equal(await node.acknowledged('b', otherMac, 'pod-2'), bdf)
  const pod = await node.kubelet.admit({ namespace: 'core', name: 'upf-0', resource, count: 1 })
  assert.ok(pod.admitted)
  assert.match(pod.response?.envs['PCIDEVICE_INTEL_COM_UPF_DATAPLANE_INFO'] ?? '', /"id":"eni-b"/)
  node.cluster.delete('a')
  node.cluster.setClaim('a', undefined)
  await node.cluster.until(() => node.cluster.isReleased('a'))
})

test('a card that a process still has open, whatever the kubelet says, is unbound when that process has closed it', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  node.bus.hold(bdf)
  const waited: string[] = []
  node.bus.effects.on('waiting', (_card, operation) => waited.push(operation))
  node.cluster.delete('a')
  node.cluster.setClaim('a', undefined)
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'CardInUse')
  await node.passed()
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'vfio-pci')
  assert.equal(node.cluster.isReleased('a'), false)
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.capacity === 0)

  node.bus.release(bdf)
  await node.cluster.until(() => node.cluster.isReleased('a'))
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
  assert.deepEqual(waited, [])
})

test('a process that is seen with the device node only just before the unbind stops it too', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  const { deviceNode } = node.bus.cards().find((card) => card.bdf === bdf) ?? {}
  const files = join(node.root, 'proc/4711/fd')
  mkdirSync(files, { recursive: true })
  symlinkSync(deviceNode ?? '', join(files, '7'))
  node.cluster.delete('a')
  node.cluster.setClaim('a', undefined)
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'CardInUse')
  assert.match(node.cluster.device('a')?.failure?.message ?? '', /process 4711 has \/dev\/vfio/)
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'vfio-pci')
  rmSync(files, { recursive: true })
  await node.cluster.until(() => node.cluster.isReleased('a'))
})

test('while an unbind blocks in the kernel another card is bound and used, and all goes on when it is let go', async (t) => {
  // A write that a signal cannot end would hold its writer for ever; this one is ended at its deadline and tried again.
  const writer = new WriterProcess(1_000)
  t.after(() => writer.stop())
  const node = await startNode(t, { controlWrites: () => writer })
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  const unbind = join(node.root, 'sys/bus/pci/drivers/vfio-pci/unbind')
  renameSync(unbind, `${unbind}.real`)
  execFileSync('mkfifo', ['-m', '600', unbind])
  node.cluster.delete('a')
  node.cluster.setClaim('a', undefined)
  await node.acknowledged('b', otherMac, 'pod-2')
  assert.ok((await node.kubelet.admit({ namespace: 'core', name: 'upf-1', resource, count: 1 })).admitted)
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'SysfsStuck')
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'vfio-pci')
  assert.equal(node.cluster.isReleased('a'), false)

  rmSync(unbind)
  renameSync(`${unbind}.real`, unbind)
  await node.cluster.until(() => node.cluster.isReleased('a'))
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
  assert.equal(node.cluster.device('b')?.health, 'Healthy')
})

test('a card whose unbind does not return is quarantined until it does; other cards go on', async (t) => {
  const freed = Promise.withResolvers<void>()
  let blocked = true
  const blocking = (real: ControlWrites): ControlWrites => ({
    warmUp: () => real.warmUp(),
    write: (card, writes): Promise<WriteOutcome> => {
      const restores = writes.some(({ path }) => path.endsWith('vfio-pci/unbind'))
      if (restores && blocked) return Promise.resolve({ kind: 'stuck', ended: freed.promise })
      return real.write(card, writes)
    },
  })
  const node = await startNode(t, { controlWrites: blocking })
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  node.cluster.delete('a')
  node.cluster.setClaim('a', undefined)
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'SysfsStuck')
  assert.equal(node.cluster.device('a')?.health, 'Unhealthy')
  assert.equal(node.cluster.isReleased('a'), false)
  await node.acknowledged('b', otherMac, 'pod-2')

  blocked = false
  freed.resolve()
  await node.cluster.until(() => node.cluster.isReleased('a'))
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
})

test("a card that the kernel's driver does not take back is released without one, so that its ENI is not kept for ever", async (t) => {
  let hangs = false
  const hanging = (real: ControlWrites): ControlWrites => ({
    warmUp: () => real.warmUp(),
    write: (card, writes) => {
      if (hangs && writes.some(({ path }) => path.endsWith('drivers_probe')))
        return Promise.resolve({ kind: 'written' })
      return real.write(card, writes)
    },
  })
  const node = await startNode(t, { controlWrites: hanging, settleDeadlineMs: 100 })
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  hangs = true
  node.cluster.setClaim('a', undefined)
  node.cluster.delete('a')
  await node.cluster.until(() => node.cluster.isReleased('a'))
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, null)
  assert.ok(readFileSync(join(node.root, 'sys/bus/pci/devices', bdf, 'driver_override'), 'utf8').startsWith('\n'))
})

test('a card whose unbind by hand waits for a process is not touched at its release before that process ends', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const bdf = await node.acknowledged('a', mac, 'pod-1')
  node.bus.hold(bdf)
  const waits = once(node.bus.effects, 'waiting')
  writeFileSync(join(node.root, 'sys/bus/pci/drivers/vfio-pci/unbind'), bdf)
  await waits
  node.cluster.setClaim('a', undefined)
  node.cluster.delete('a')
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'CardInUse')
  assert.equal(node.cluster.isReleased('a'), false)
  node.bus.release(bdf)
  await node.cluster.until(() => node.cluster.isReleased('a'))
  assert.equal(node.bus.cards().find((card) => card.bdf === bdf)?.driver, 'ena')
})
