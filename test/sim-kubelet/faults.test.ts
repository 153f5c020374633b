// Faults of the stand-in kubelet that its device plugins have to survive.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { lstatSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { status } from '@grpc/grpc-js'

import { type Kubelet, startKubelet } from '../../sim/kubelet/kubelet.ts'
import { PodResourcesClient } from '../../src/device-plugin/pod-resources.ts'
import { TinyPlugin } from './tiny-plugin.ts'

const resource = 'intel.com/upf_dataplane'
const pod = { namespace: 'default', name: 'upf-0', resource, count: 1 }

interface Rig {
  readonly kubelet: Kubelet
  readonly podResources: PodResourcesClient
  /** A plugin of this socket with one device, registered and listed. */
  readonly register: (socket: string) => Promise<TinyPlugin>
}

async function rig(t: TestContext): Promise<Rig> {
  const dir = mkdtempSync('/tmp/kf-')
  const kubelet = await startKubelet({ dir })
  const podResources = new PodResourcesClient(join(dir, 'pod-resources/kubelet.sock'))
  const plugins: TinyPlugin[] = []
  const register = async (socket: string) => {
    const plugin = new TinyPlugin(dir, socket)
    plugins.push(plugin)
    await plugin.serve()
    plugin.list('a')
    await plugin.register(resource)
    return plugin
  }
  t.after(() => {
    podResources.close()
    for (const plugin of plugins) plugin.stop()
    kubelet.close()
    rmSync(dir, { recursive: true })
  })
  return { kubelet, podResources, register }
}

function allocatable(kubelet: Kubelet): number | undefined {
  return kubelet.counts().get(resource)?.allocatable
}

test('a lost checkpoint: the pod runs on, and its device is given to another', async (t) => {
  const { kubelet, podResources, register } = await rig(t)
  await register('one.sock')
  await kubelet.effects.until(() => allocatable(kubelet) === 1)
  assert.ok((await kubelet.admit(pod)).admitted)
  kubelet.stop()
  kubelet.loseCheckpoint()
  await kubelet.start()
  assert.equal(kubelet.counts().size, 0)
  await register('two.sock')
  await kubelet.effects.until(() => allocatable(kubelet) === 1)
  const { holders, bare } = await podResources.holders()
  assert.equal(holders.size, 0)
  assert.deepEqual([...(bare ?? [])], ['default/upf-0'])
  assert.ok((await kubelet.admit({ ...pod, name: 'upf-1' })).admitted)
})

test('a kill leaves sockets that nobody serves, and the next start removes them', async (t) => {
  const { kubelet } = await rig(t)
  await kubelet.kill()
  const socket = join(kubelet.dir, 'device-plugins/kubelet.sock')
  assert.ok(lstatSync(socket).isSocket())
  const [refused] = (await once(connect(socket), 'error')) as [NodeJS.ErrnoException]
  assert.equal(refused.code, 'ECONNREFUSED')
  await kubelet.start()
  const connection = connect(socket)
  await once(connection, 'connect')
  connection.destroy()
})

test('Register is answered and the list never watched', async (t) => {
  const { kubelet, register } = await rig(t)
  const watchAgain = kubelet.watchNothing()
  const plugin = await register('one.sock')
  assert.equal(kubelet.streams(resource), 0)
  assert.ok(!kubelet.counts().has(resource))
  watchAgain()
  await plugin.register(resource)
  await kubelet.effects.until(() => allocatable(kubelet) === 1)
  assert.equal(kubelet.streams(resource), 1)
})

test('the end of a stream is noticed late, and then disconnects the next plugin', async (t) => {
  const { kubelet, register } = await rig(t)
  const first = await register('one.sock')
  await kubelet.effects.until(() => allocatable(kubelet) === 1)
  const notice = kubelet.holdStreamEnds()
  const ended = once(kubelet.effects, 'stream-ended')
  first.stop()
  await ended
  await register('two.sock')
  const disconnected = once(kubelet.effects, 'disconnected')
  notice()
  await disconnected
  assert.equal(allocatable(kubelet), 0)
})

test('PodResources fails as it is told, is gone, and works again', async (t) => {
  const { kubelet, podResources } = await rig(t)
  kubelet.failPodResources({ code: status.INTERNAL, details: 'no' })
  await assert.rejects(podResources.holders(), /no$/)
  kubelet.failPodResources(null)
  await podResources.holders()
  const serveAgain = kubelet.removePodResources()
  await assert.rejects(podResources.holders())
  await serveAgain()
  await podResources.holders()
})
