// What can be asked of Allocate that no kubelet should ask, and when; after each row all is as before it.
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'

import { credentials } from '@grpc/grpc-js'

import { podResourcesApi } from '../../src/device-plugin/kubelet-api.ts'
import { admit, askAllocate, assertRecovered, type FaultNode, mostListeners, startFaultNode } from './fault-node.ts'
import { resource } from './cluster-in-memory.ts'
import { startNode } from './node-under-test.ts'

/** The kubelet takes 100 calls a second from all its clients: without a pause this one would leave nothing to the device plugin. */
const listPauseMs = 20

interface Fault {
  readonly name: string
  readonly strike: (faultNode: FaultNode) => Promise<void>
}

const faults: readonly Fault[] = [
  {
    name: 'a device that nobody has listed',
    strike: async ({ node }) => {
      assert.match(await askAllocate(node, ['0000:00:1f.0']), /0000:00:1f\.0 is not a device of this plugin/)
    },
  },
  {
    name: 'a device of ours and one that is none of ours: neither is given',
    strike: async ({ node, held }) => {
      const free = freeDevice(node, held)
      assert.match(await askAllocate(node, [free, '0000:00:05.0']), /0000:00:05\.0 is not a device/)
    },
  },
  {
    name: 'the same device twice, in one container and in two',
    strike: async ({ node, held }) => {
      const free = freeDevice(node, held)
      assert.match(await askAllocate(node, [free, free]), /the same device is asked for twice/)
      assert.match(await askAllocate(node, [free], [free]), /the same device is asked for twice/)
    },
  },
  {
    name: 'no container, and a container without a device',
    strike: async ({ node }) => {
      assert.match(await askAllocate(node), /names no device/)
      assert.match(await askAllocate(node, []), /names no device/)
    },
  },
  {
    name: 'a device that a pod has',
    strike: async ({ node, held }) => {
      assert.match(await askAllocate(node, [held]), /is held by pod core\/upf-0/)
    },
  },
  {
    name: 'a List of another client during Allocate lets the kubelet give the device twice',
    strike: async ({ node, held }) => {
      node.kubelet.raceListDuringAllocate()
      await comeAndGo(node, held, async () => [await admit(node, 'upf-1'), await admit(node, 'upf-2')])
    },
  },
  {
    name: 'another client calls List many times a second while pods come and go',
    strike: async ({ node, held }) => {
      const address = `unix://${join(node.root, 'k/pod-resources/kubelet.sock')}`
      const client = new podResourcesApi.PodResourcesLister(address, credentials.createInsecure())
      const over = new AbortController()
      let lists = 0
      const listing = (async () => {
        while (!over.signal.aborted) {
          const { promise, resolve } = Promise.withResolvers<void>()
          client.List({}, () => resolve())
          await promise
          lists++
          await delay(listPauseMs)
        }
      })()
      for (let round = 0; round < 10; round++) {
        await comeAndGo(node, held, () => Promise.all([admit(node, 'upf-1'), admit(node, 'upf-2')]))
      }
      over.abort()
      await listing
      client.close()
      assert.ok(lists > 10, `only ${lists} lists`)
    },
  },
  {
    name: 'the plugin stops while the kubelet allocates',
    strike: async ({ node, held }) => {
      const admission = admit(node, 'upf-1')
      await node.stopPlugin()
      assertNoneTwice([await admission], held)
      await node.startPlugin()
      node.kubelet.endPod({ namespace: 'core', name: 'upf-1' })
    },
  },
]

for (const { name, strike } of faults) {
  test(name, async (t) => {
    const faultNode = await startFaultNode(t)
    const listeners = mostListeners()
    await strike(faultNode)
    await assertRecovered(faultNode, listeners)
  })
}

test('a resource without any device', async (t) => {
  const node = await startNode(t)
  node.cluster.addNodeENI('upf')
  await node.startPlugin()
  // It counts from its first list on.
  await node.kubelet.effects.until(() => node.kubelet.counts().has(resource))
  const pod = await admit(node, 'upf-0')
  assert.ok(!pod.admitted)
  assert.match(await askAllocate(node, ['0000:00:06.0']), /is not a device of this plugin/)
})

function freeDevice(node: FaultNode['node'], held: string): string {
  const free = node.bus.cards().find(({ driver, bdf }) => driver === 'vfio-pci' && bdf !== held)
  assert.ok(free)
  return free.bdf
}

/** Two pods for one free device; they end once the plugin has seen who has it. */
async function comeAndGo(
  node: FaultNode['node'],
  held: string,
  come: () => Promise<readonly Awaited<ReturnType<typeof admit>>[]>,
): Promise<void> {
  const pods = await come()
  assertNoneTwice(pods, held)
  const holders = () => ['a', 'b'].filter((name) => node.cluster.device(name)?.inUseBy !== undefined).length
  await node.cluster.until(() => holders() === 1 + pods.filter(({ admitted }) => admitted).length)
  for (const name of ['upf-1', 'upf-2']) node.kubelet.endPod({ namespace: 'core', name })
  await node.cluster.until(() => holders() === 1)
}

function assertNoneTwice(pods: readonly Awaited<ReturnType<typeof admit>>[], held: string): void {
  const devices = pods.flatMap((pod) => (pod.admitted ? pod.devices : []))
  assert.equal(new Set([...devices, held]).size, devices.length + 1, `one device for two pods: ${devices.join()}`)
  for (const pod of pods) assert.ok(!pod.admitted || pod.devices.length === 1, 'a pod without its device')
}
