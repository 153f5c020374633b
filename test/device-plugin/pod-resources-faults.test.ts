// What can become of the kubelet's account of who has what, one row for each; after each row all is as before it.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'

import { status } from '@grpc/grpc-js'

import { doubtMs } from '../../src/device-plugin/occupancy.ts'

import {
  allocatable,
  assertRecovered,
  type FaultNode,
  holder,
  admit,
  askAllocate,
  admitted,
  mostListeners,
  startFaultNode,
} from './fault-node.ts'
import type { NodeOptions, NodeUnderTest } from './node-under-test.ts'

interface Fault {
  readonly name: string
  /** Ends with the fault over, and the plugin perhaps not yet recovered. */
  readonly strike: (faultNode: FaultNode) => Promise<void>
  readonly options?: NodeOptions
}

const failing = 'kubelet does not say who has which device, trying again'

const faults: readonly Fault[] = [
  {
    name: 'List takes longer than anybody waits',
    options: { podResourcesDeadlineMs: 500 },
    strike: async ({ node }) => {
      const answer = node.kubelet.holdLists()
      await node.logged(failing)
      answer()
    },
  },
  {
    name: 'every call fails',
    strike: async ({ node }) => {
      node.kubelet.failPodResources({ code: status.INTERNAL, details: 'no' })
      await node.logged(failing)
      node.kubelet.failPodResources(null)
    },
  },
  {
    name: 'other clients use up the limit of calls: what was seen last stays, and is no failure',
    strike: async ({ node }) => {
      node.kubelet.failPodResources({ code: status.RESOURCE_EXHAUSTED, details: 'rejected by rate limit' })
      for (let calls = 0; calls < 4; calls++) await once(node.kubelet.effects, 'pod-resources-failed')
      assert.equal(node.lines(failing).length, 0)
      node.kubelet.failPodResources(null)
    },
  },
  {
    name: 'an answer beyond what we read is a failure, though gRPC has the same code for it',
    strike: async ({ node }) => {
      const details = 'Received message larger than max (16777217 vs 16777216)'
      node.kubelet.failPodResources({ code: status.RESOURCE_EXHAUSTED, details })
      await node.logged(failing)
      node.kubelet.failPodResources(null)
    },
  },
  {
    name: 'the socket is gone',
    strike: async ({ node }) => {
      const serveAgain = node.kubelet.removePodResources()
      await node.logged(failing)
      await serveAgain()
    },
  },
  {
    name: 'so many pods that the answer exceeds the 4 MB of gRPC',
    strike: async ({ node }) => {
      const long = 'p'.repeat(240)
      const pods = Array.from({ length: 18_000 }, (_, index) => ({ namespace: 'many', name: `${long}-${index}` }))
      for (const pod of pods) await node.kubelet.admit({ ...pod, resource: 'example.com/none', count: 1 })
      const [listed] = await once(node.kubelet.effects, 'pods-listed')
      assert.ok((listed as string[]).length >= pods.length)
      await node.passed()
      assert.equal(node.lines(failing).length, 0)
    },
  },
  {
    name: 'the checkpoint is lost: the device of a running pod is offered to nobody until that pod has ended',
    strike: async (faultNode) => {
      const { node, held, skip } = faultNode
      node.kubelet.stop()
      node.kubelet.loseCheckpoint()
      await node.kubelet.start()
      await forgotten(node)
      // A pod that its kubelet does not list yet counts for that long.
      skip(doubtMs)
      for (let looks = 0; looks < 2; looks++) await once(node.kubelet.effects, 'pods-listed')
      await node.passed()
      const other = await admitted(node, 'upf-1')
      assert.notEqual(other, held)
      assert.ok(!(await admit(node, 'upf-2')).admitted)
      const holders = () => ['a', 'b'].map((name) => node.cluster.device(name)?.inUseBy?.name)
      await node.cluster.until(() => holders().includes('upf-1'))
      assert.ok(holders().includes(holder), 'its pod is forgotten by us too')

      node.kubelet.endPod({ namespace: 'core', name: 'upf-1' })
      await giveAnew(faultNode)
    },
  },
  {
    name: 'the checkpoint is lost and the kubelet gives that device to another pod at once: Allocate refuses',
    strike: async (faultNode) => {
      const { node, held } = faultNode
      const again = once(node.kubelet.effects, 'registered')
      node.kubelet.stop()
      node.kubelet.loseCheckpoint()
      await node.kubelet.start()
      await again
      assert.match(await askAllocate(node, [held]), /is held by pod core\/upf-0|is unhealthy/)
      await forgotten(node)
      assert.match(await askAllocate(node, [held]), /is unhealthy/)
      await giveAnew(faultNode)
    },
  },
]

async function forgotten(node: NodeUnderTest): Promise<void> {
  const reasons = () => ['a', 'b'].map((name) => node.cluster.device(name)?.failure?.reason)
  await node.cluster.until(() => reasons().includes('ForgottenByKubelet'))
  await allocatable(node, 1)
}

/** The pod of which the kubelet has forgotten what it has ends, and the next of its name gets a device. */
async function giveAnew(faultNode: FaultNode): Promise<void> {
  const { node } = faultNode
  const holders = () => ['a', 'b'].flatMap((name) => node.cluster.device(name)?.inUseBy?.name ?? [])
  node.kubelet.endPod({ namespace: 'core', name: holder })
  await node.cluster.until(() => holders().length === 0)
  await allocatable(node, 2)
  faultNode.held = await admitted(node, holder)
  await node.cluster.until(() => holders().includes(holder))
}

for (const { name, strike, options } of faults) {
  test(name, async (t) => {
    const faultNode = await startFaultNode(t, options)
    const listeners = mostListeners()
    await strike(faultNode)
    await assertRecovered(faultNode, listeners)
  })
}
