// A node on which faults strike: one device held by a pod, one free, an interface of somebody else; and what must be true
// again whenever a fault is over.
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'

import { credentials } from '@grpc/grpc-js'

import { devicePluginApi } from '../../src/device-plugin/kubelet-api.ts'
import { systemClock } from '../../src/device-plugin/monotonic-clock.ts'
import { resource } from './cluster-in-memory.ts'
import { type NodeOptions, type NodeUnderTest, primaryMac, startNode } from './node-under-test.ts'

const ourMacs = ['02:00:00:00:00:66', '02:00:00:00:00:67'] as const
const foreignMac = '02:00:00:00:00:99'

/** What the pod that holds a device is called. */
export const holder = 'upf-0'

/** A wait that is just under way has one; what piles up has one for each time. */
const passingListeners = 3

const signals = watchSignals()

export interface FaultNode {
  readonly node: NodeUnderTest
  /** PCI address of the device that the pod holds. */
  held: string
  /** The plugin's clock goes ahead by so much. */
  readonly skip: (ms: number) => void
}

/** Both devices acknowledged, one of them with its pod. */
export async function startFaultNode(t: TestContext, options: NodeOptions = {}): Promise<FaultNode> {
  let skippedMs = 0
  const clock = { ...systemClock, monotonic: () => systemClock.monotonic() + skippedMs }
  const node = await startNode(t, { clock, ...options })
  node.cluster.addNodeENI('upf')
  await node.bus.plug({ mac: foreignMac, eniId: 'eni-foreign', deviceIndex: 9 })
  await node.startPlugin()
  await node.acknowledged('a', ourMacs[0], 'pod-1')
  await node.acknowledged('b', ourMacs[1], 'pod-2')
  const held = await admitted(node, holder)
  await node.cluster.until(() => statusHolders(node).includes(holder))
  const skip = (ms: number) => {
    skippedMs += ms
  }
  return { node, held, skip }
}

export function admit(node: NodeUnderTest, name: string) {
  return node.kubelet.admit({ namespace: 'core', name, resource, count: 1 })
}

/** The device that this pod gets. */
export async function admitted(node: NodeUnderTest, name: string): Promise<string> {
  const pod = await admit(node, name)
  assert.ok(pod.admitted, pod.admitted ? '' : pod.message)
  const [device] = pod.devices
  assert.ok(device !== undefined, `${name} runs without a device`)
  return device
}

/** Asks the plugin's own socket, as a kubelet would for these containers: 'granted', or why not. */
export async function askAllocate(node: NodeUnderTest, ...containers: readonly (readonly string[])[]): Promise<string> {
  const [socket = ''] = sockets(node)
  const address = `unix://${join(node.root, 'k/device-plugins', socket)}`
  const client = new devicePluginApi.DevicePlugin(address, credentials.createInsecure())
  const { promise, resolve } = Promise.withResolvers<string>()
  client.Allocate({ containerRequests: containers.map((ids) => ({ devicesIds: [...ids] })) }, (failure) =>
    resolve(failure === null ? 'granted' : failure.details),
  )
  return promise.finally(() => client.close())
}

export async function allocatable(node: NodeUnderTest, count: number): Promise<void> {
  await node.kubelet.effects.until(() => node.kubelet.counts().get(resource)?.allocatable === count)
}

export function sockets(node: NodeUnderTest): readonly string[] {
  return readdirSync(join(node.root, 'k/device-plugins')).filter((name) => name.startsWith('jit-eni-'))
}

/** The most listeners that wait for any one signal to abort. */
export function mostListeners(): number {
  return Math.max(
    0,
    ...[...signals].flatMap((seen) => getEventListeners(seen.deref() ?? new EventTarget(), 'abort').length),
  )
}

/** Resolves when all is as before the fault: what needs a moment is awaited, the rest is looked at. */
export async function assertRecovered(
  { node, held }: Pick<FaultNode, 'node' | 'held'>,
  listenersBefore: number,
): Promise<void> {
  const { kubelet, cluster } = node
  await allocatable(node, 2)
  await kubelet.effects.until(() => kubelet.streams(resource) === 1)
  await cluster.until(() => ['a', 'b'].every((name) => cluster.device(name)?.advertised === true))
  await cluster.until(() => statusHolders(node).join() === holder)
  await node.passed()

  const bound = node.bus.cards().filter(({ driver }) => driver === 'vfio-pci')
  assert.deepEqual(bound.map(({ mac }) => mac).toSorted(), ourMacs)
  assert.equal(kubelet.counts().get(resource)?.capacity, bound.length)
  for (const mac of [primaryMac, foreignMac]) {
    assert.equal(node.bus.cards().find((card) => card.mac === mac)?.driver, 'ena', `${mac} is not ours`)
  }
  assert.equal(sockets(node).length, 1, 'sockets leak')
  assert.ok(
    mostListeners() <= listenersBefore + passingListeners,
    `listeners pile up: ${mostListeners()} after ${listenersBefore}`,
  )

  const other = await admitted(node, 'upf-free')
  assert.notEqual(other, held, 'one device for two pods')
  const third = await admit(node, 'upf-too-many')
  assert.ok(!third.admitted, 'more pods than devices')
  kubelet.endPod({ namespace: 'core', name: 'upf-free' })
}

function statusHolders(node: NodeUnderTest): readonly string[] {
  return ['a', 'b'].flatMap((name) => node.cluster.device(name)?.inUseBy?.name ?? [])
}

/** Every signal that anybody in this process ever listens to. */
function watchSignals(): ReadonlySet<WeakRef<AbortSignal>> {
  const found = new Set<WeakRef<AbortSignal>>()
  const known = new WeakSet<AbortSignal>()
  // oxlint-disable-next-line typescript/unbound-method -- called below with the target as `this`
  const { addEventListener } = EventTarget.prototype
  EventTarget.prototype.addEventListener = function add(this: EventTarget, ...rest) {
    if (this instanceof AbortSignal && !known.has(this)) {
      known.add(this)
      found.add(new WeakRef(this))
    }
    return addEventListener.apply(this, rest)
  }
  return found
}
