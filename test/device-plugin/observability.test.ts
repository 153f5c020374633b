// What somebody sees who looks at a node from outside: /metrics, /healthz and /readyz of the real loop, and events on its Node.
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import type { ControlWrites } from '../../src/device-plugin/control-writes.ts'
import { resource } from './cluster-in-memory.ts'
import { type NodeUnderTest, startNode } from './node-under-test.ts'

const mac = '02:00:00:00:00:66'
const otherMac = '02:00:00:00:00:67'
const claim = { namespace: 'core', name: 'upf-0', uid: 'pod-1' }

async function sampleOf(node: NodeUnderTest, name: string, labels: Readonly<Record<string, string>> = {}) {
  const metrics = await node.status.metrics.getMetricsAsJSON()
  const samples = metrics.flatMap(({ name: metric, values }) =>
    values.map((value) => ({ metricName: metric, ...value })),
  )
  const wanted = samples.find(
    (sample) =>
      sample.metricName === `jiteni_device_plugin_${name}` &&
      Object.entries(labels).every(([key, text]) => (sample.labels as Record<string, unknown>)[key] === text),
  )
  return wanted?.value
}

test('of a device that comes, /metrics has its health, its registration, and how long each step took', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.acknowledged('a', mac, 'pod-1')
  assert.equal(await sampleOf(node, 'devices', { resource, health: 'Healthy', reason: '' }), 1)
  assert.equal(await sampleOf(node, 'registrations_total', { resource, cause: 'first' }), 1)
  assert.equal(await sampleOf(node, 'list_updates_total', { resource }), 1)
  assert.equal(await sampleOf(node, 'quarantined_cards'), 0)
  const text = await node.status.metrics.metrics()
  for (const name of ['driver_change', 'advertise', 'card_to_advertised', 'acknowledge']) {
    assert.match(text, new RegExp(`jiteni_device_plugin_${name}_duration_seconds_count.* 1\\n`))
  }
})

test('a registration that is made again is counted by what the last one was lost by', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.acknowledged('a', mac, 'pod-1')
  await node.kubelet.restart()
  await node.logged('resource registered', 2)
  assert.equal(await sampleOf(node, 'registrations_total', { resource, cause: 'first' }), 1)
  const lost = ['kubelet_restarted', 'socket_removed', 'stream_ended']
  const counts = await Promise.all(lost.map((cause) => sampleOf(node, 'registrations_total', { resource, cause })))
  // One stop of the kubelet may be heard in several ways, one after the other.
  assert.ok(counts.some((count) => count !== undefined))
  // A card has been new once; the kubelet has got it twice.
  await node.cluster.until(() => node.cluster.device('a')?.advertised === true)
  assert.match(await node.status.metrics.metrics(), /card_to_advertised_duration_seconds_count 1\n/)
})

test('a card that is refused is counted by reason, and the Node has an event that says why', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  const { bdf } = await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  node.bus.useByHost(bdf)
  node.cluster.addAttachment('a', { mac, claim })
  await node.cluster.until(() => node.cluster.eventsSaid.length > 0 && node.cluster.device('a')?.failure !== undefined)
  const failure = node.cluster.device('a')?.failure
  assert.deepEqual(node.cluster.eventsSaid, [
    {
      on: 'Node node-a',
      type: 'Warning',
      reason: 'InterfaceInUse',
      message: `eni-a (ENIAttachment a): ${failure?.message}`,
    },
  ])
  assert.equal(await sampleOf(node, 'failures', { reason: 'InterfaceInUse' }), 1)
})

test('a device that vanishes is Unhealthy with a reason until the card comes back', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.acknowledged('a', mac, 'pod-1')
  const pod = await node.kubelet.admit({ namespace: 'core', name: 'upf-0', resource, count: 1 })
  assert.ok(pod.admitted)
  await node.cluster.until(() => node.cluster.device('a')?.inUseBy !== undefined)
  await node.bus.unplug({ mac })
  await node.cluster.until(() => node.cluster.device('a')?.health === 'Unhealthy')
  assert.equal(await sampleOf(node, 'devices', { resource, health: 'Unhealthy', reason: 'CardMissing' }), 1)
})

test('a quarantine is a gauge and an event, and its end is another event', async (t) => {
  const freed = Promise.withResolvers<void>()
  let blocked = true
  const blocking = (real: ControlWrites): ControlWrites => ({
    warmUp: () => real.warmUp(),
    write: (card, writes) => {
      const unbinds = writes.some(({ path }) => path.endsWith('/unbind'))
      if (unbinds && blocked) return Promise.resolve({ kind: 'stuck', ended: freed.promise })
      return real.write(card, writes)
    },
  })
  const node = await startNode(t, { controlWrites: blocking })
  const reasons = () => node.cluster.eventsSaid.map(({ type, reason }) => `${type} ${reason}`)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  node.cluster.addAttachment('a', { mac, claim })
  await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  await node.cluster.until(() => reasons().includes('Warning SysfsStuck'))
  assert.equal(await sampleOf(node, 'quarantined_cards'), 1)
  blocked = false
  freed.resolve()
  await node.cluster.until(() => reasons().includes('Normal QuarantineEnded'))
  await node.passed()
  assert.equal(await sampleOf(node, 'quarantined_cards'), 0)
})

test('a write that the API server does not take is counted', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  node.cluster.outage = new Error('no answer')
  await node.startPlugin()
  node.cluster.addAttachment('a', { mac, claim })
  await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  await node.logged('status not written, trying again')
  assert.ok(((await sampleOf(node, 'api_write_failures_total', { write: 'status' })) ?? 0) >= 1)
  node.cluster.outage = undefined
})

test('a device of one claim that the kubelet gives to another pod is a mismatch', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.acknowledged('a', mac, 'pod-1')
  await node.kubelet.admit({ namespace: 'core', name: 'other', resource, count: 1 })
  await node.logged('device in use by another pod than the one that has claimed it')
  await node.passed()
  assert.equal(await sampleOf(node, 'mismatches_total', { kind: 'held_by_another_pod' }), 1)
})

/** A clock that a test can put forward while real time goes on. */
function clockAhead() {
  let aheadMs = 0
  const monotonic = () => performance.now() + aheadMs
  return { clock: { monotonic, timestamp: () => '2030-01-01T00:00:00.000Z' }, ahead: (ms: number) => (aheadMs += ms) }
}

function startAhead(t: TestContext, state: () => 'real' | 'unsynced' | 'broken') {
  const { clock, ahead } = clockAhead()
  const node = startNode(t, {
    clock,
    state: (real) => {
      if (state() === 'broken') throw new Error('scan /sys/bus/pci/devices: EIO')
      return state() === 'real' ? real : undefined
    },
  })
  return { node, ahead }
}

test('/healthz says why when no pass has ended well for half a minute, and is well again after the next', async (t) => {
  let state: 'real' | 'broken' = 'real'
  const { node: starting, ahead } = startAhead(t, () => state)
  const node = await starting
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.passed()
  state = 'broken'
  await node.passed()
  await node.logged('pass failed, trying again')
  ahead(29_000)
  assert.equal(node.status.unhealthy(), undefined)
  ahead(10_000)
  assert.match(node.status.unhealthy() ?? '', /^no pass has ended well for \d+ s: scan .*: EIO$/)
  state = 'real'
  await node.passed()
  await node.passed()
  assert.equal(node.status.unhealthy(), undefined)
})

test('/healthz does not fail for an API server or a kubelet that is away: a restart would help nobody', async (t) => {
  let state: 'real' | 'unsynced' = 'unsynced'
  const { node: starting, ahead } = startAhead(t, () => state)
  const node = await starting
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  await node.passed()
  ahead(60_000)
  await node.passed()
  await node.passed()
  assert.equal(node.status.unhealthy(), undefined)
  assert.match(node.status.notReady() ?? '', /caches have not synced/)
  state = 'real'
  node.kubelet.stop()
  await node.logged('kubelet does not say who has which device, trying again')
  ahead(60_000)
  await node.passed()
  await node.passed()
  assert.equal(node.status.unhealthy(), undefined)
  assert.equal(node.status.notReady(), `resource ${resource} is not registered with the kubelet`)
})

test('/readyz names every resource that is not registered', async (t) => {
  const node = await startNode(t)
  node.kubelet.refuseRegister('not now')
  node.cluster.addNodeENI('upf')
  node.cluster.addAttachment('b', { mac: otherMac, spec: { resourceName: 'intel.com/other' } })
  await node.startPlugin()
  await node.logged('registration failed, trying again', 2)
  assert.equal(node.status.notReady(), `resources ${resource}, intel.com/other are not registered with the kubelet`)
})

test('the log tells each step once, with the keys by which one looks for it, and what was wrong until when', async (t) => {
  const node = await startNode(t, { iommu: 'noiommu', settleDeadlineMs: 200 })
  const mode = join(node.root, 'sys/module/vfio/parameters/enable_unsafe_noiommu_mode')
  writeFileSync(mode, 'N\n')
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  node.cluster.addAttachment('a', { mac, claim })
  const { bdf } = await node.bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  await node.cluster.until(() => node.cluster.device('a')?.failure?.reason === 'NoIOMMU')
  writeFileSync(mode, 'Y\n')
  await node.cluster.until(() => node.cluster.device('a')?.acknowledged === 'pod-1')
  const keys = { attachment: 'a', eni: 'eni-a', mac, resource, pciAddress: bdf }
  const steps = [
    'card seen',
    'device not usable',
    'card bound',
    'failure is over',
    'device advertised',
    'claim acknowledged',
  ]
  for (const step of steps) {
    const lines = node.lines(step)
    assert.equal(lines.length, 1, step)
    for (const [key, text] of Object.entries(keys)) assert.equal(lines[0]?.[key], text, `${key} of "${step}"`)
  }
  assert.equal(node.lines('step failed, trying again')[0]?.['pciAddress'], bdf)
  assert.equal(node.lines('claim acknowledged')[0]?.['pod'], 'core/upf-0')
  assert.equal(node.lines('started').length, 1)
})
