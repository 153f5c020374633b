// What a kubelet can do to its device plugins, one row for each; after each row all is as before it (assertRecovered).
import { once } from 'node:events'
import { mkdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

import { credentials } from '@grpc/grpc-js'

import { removeSockets } from '../../sim/kubelet/kubelet-socket.ts'
import { devicePluginApi } from '../../src/device-plugin/kubelet-api.ts'
import { resource } from './cluster-in-memory.ts'
import { allocatable, assertRecovered, mostListeners, sockets, startFaultNode } from './fault-node.ts'
import type { NodeUnderTest } from './node-under-test.ts'

interface Fault {
  readonly name: string
  /** Ends with the fault over, and the plugin perhaps not yet recovered. */
  readonly strike: (node: NodeUnderTest) => Promise<void>
}

const pluginDirectory = (node: NodeUnderTest) => join(node.root, 'k/device-plugins')

const faults: readonly Fault[] = [
  { name: 'the kubelet restarts', strike: ({ kubelet }) => kubelet.restart() },
  {
    name: 'the kubelet restarts ten times in a row, at whatever point the registration is',
    strike: async ({ kubelet }) => {
      for (let life = 0; life < 10; life++) {
        await kubelet.restart()
        // Each life ends a little further on: before Register, in the dial, at the first list, after all of it.
        if (life % 2 === 1) await kubelet.effects.until(() => kubelet.counts().get(resource)?.capacity !== 0)
      }
    },
  },
  {
    name: 'the kubelet is killed and its sockets stay; it comes back',
    strike: async (node) => {
      await node.kubelet.kill()
      await node.logged('registration failed, trying again')
      await node.kubelet.start()
    },
  },
  {
    name: 'the kubelet starts after the plugin',
    strike: async (node) => {
      await node.stopPlugin()
      node.kubelet.stop()
      await node.startPlugin()
      await node.logged('registration failed, trying again')
      await node.kubelet.start()
    },
  },
  {
    name: 'every socket in the directory is removed under a kubelet that goes on, which then restarts',
    strike: async (node) => {
      removeSockets(pluginDirectory(node))
      await node.logged('registration failed, trying again')
      await node.kubelet.restart()
    },
  },
  {
    name: 'the socket of the plugin is removed under a kubelet that goes on',
    strike: async (node) => {
      const again = once(node.kubelet.effects, 'registered')
      for (const name of sockets(node)) rmSync(join(pluginDirectory(node), name))
      await again
    },
  },
  {
    name: 'the directory is removed, and made again by the next kubelet',
    strike: async (node) => {
      rmSync(pluginDirectory(node), { recursive: true })
      await node.logged('plugin directory is gone, waiting for it')
      await node.kubelet.restart()
    },
  },
  {
    name: 'the plugin starts while there is no directory',
    strike: async (node) => {
      await node.stopPlugin()
      rmSync(pluginDirectory(node), { recursive: true })
      await node.startPlugin()
      await node.logged('plugin directory is gone, waiting for it')
      await node.kubelet.restart()
    },
  },
  {
    name: 'another directory is put in its place, as a mount over it would',
    strike: async (node) => {
      mkdirSync(`${pluginDirectory(node)}.new`)
      renameSync(pluginDirectory(node), `${pluginDirectory(node)}.old`)
      renameSync(`${pluginDirectory(node)}.new`, pluginDirectory(node))
      await node.kubelet.restart()
    },
  },
  {
    name: 'the kubelet takes its time to dial back',
    strike: async (node) => {
      const dial = node.kubelet.holdDials()
      const held = once(node.kubelet.effects, 'dial-held')
      await node.kubelet.restart()
      await held
      for (let looks = 0; looks < 2; looks++) await once(node.kubelet.effects, 'pods-listed')
      dial()
    },
  },
  {
    name: 'the kubelet refuses Register three times',
    strike: async (node) => {
      node.kubelet.refuseRegister('not now')
      await node.kubelet.restart()
      for (let refusals = 0; refusals < 3; refusals++) await once(node.kubelet.effects, 'register-refused')
      node.kubelet.refuseRegister(null)
    },
  },
  {
    name: 'the kubelet ends its stream and goes on',
    strike: async ({ kubelet }) => {
      const ended = once(kubelet.effects, 'disconnected')
      kubelet.killStreams()
      await ended
    },
  },
  {
    name: 'a second stream is opened on the same socket, and ends',
    strike: async (node) => {
      const again = once(node.kubelet.effects, 'registered')
      const [socket = ''] = sockets(node)
      const address = `unix://${join(pluginDirectory(node), socket)}`
      const client = new devicePluginApi.DevicePlugin(address, credentials.createInsecure())
      const stream = client.ListAndWatch({})
      stream.on('error', () => undefined)
      await once(stream, 'data')
      stream.cancel()
      await again
      client.close()
    },
  },
  {
    name: 'the end of an old stream disconnects the new one (kubernetes/kubernetes#127803)',
    strike: async (node) => {
      const notice = node.kubelet.holdStreamEnds()
      const again = once(node.kubelet.effects, 'registered')
      for (const name of sockets(node)) rmSync(join(pluginDirectory(node), name))
      await again
      await allocatable(node, 2)
      const disconnected = once(node.kubelet.effects, 'disconnected')
      notice()
      await disconnected
    },
  },
  {
    name: 'the plugin is restarted',
    strike: async (node) => {
      await node.stopPlugin()
      await node.startPlugin()
    },
  },
  {
    name: 'plugin and kubelet are restarted together',
    strike: async (node) => {
      await Promise.all([node.stopPlugin(), node.kubelet.restart()])
      await node.startPlugin()
    },
  },
]

for (const { name, strike } of faults) {
  test(name, async (t) => {
    const faultNode = await startFaultNode(t)
    const listeners = mostListeners()
    await strike(faultNode.node)
    await assertRecovered(faultNode, listeners)
  })
}
