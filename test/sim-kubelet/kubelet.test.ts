// The stand-in kubelet: how it registers a plugin, gives out its devices, and fails when told to.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { credentials, type requestCallback } from '@grpc/grpc-js'

import { podResourcesApi } from '../../src/device-plugin/kubelet-api.ts'
import { startKubelet, type Kubelet, type KubeletOptions } from '../../sim/kubelet/kubelet.ts'
import { TinyPlugin } from './tiny-plugin.ts'

const resource = 'intel.com/upf_dataplane'

async function start(t: TestContext, options: Partial<KubeletOptions> = {}): Promise<Kubelet> {
  const dir = await mkdtemp(join(tmpdir(), 'kl-'))
  // The limit of PodResources has its own test; elsewhere its clock runs ahead.
  let nowMs = 0
  const kubelet = await startKubelet({ dir, nowMs: () => (nowMs += 1000), ...options })
  t.after(async () => {
    kubelet.close()
    await rm(dir, { recursive: true })
  })
  return kubelet
}

async function startPlugin(t: TestContext, kubelet: Kubelet, socket = 'tiny.sock'): Promise<TinyPlugin> {
  const plugin = new TinyPlugin(kubelet.dir, socket)
  t.after(() => plugin.stop())
  await plugin.serve()
  return plugin
}

/** A plugin that is registered and whose devices the kubelet knows. */
async function startListed(t: TestContext, kubelet: Kubelet, ...devices: readonly string[]): Promise<TinyPlugin> {
  const plugin = await startPlugin(t, kubelet)
  plugin.list(...devices)
  const listed = once(kubelet.effects, 'listed')
  await plugin.register(resource)
  await listed
  return plugin
}

const pod = (name: string, count = 1) => ({ namespace: 'default', name, resource, count })

function podResources(t: TestContext, kubelet: Kubelet) {
  const address = `unix://${join(kubelet.dir, 'pod-resources/kubelet.sock')}`
  const client = new podResourcesApi.PodResourcesLister(address, credentials.createInsecure())
  t.after(() => client.close())
  return {
    async list(): Promise<Record<string, string[]>> {
      const { podResources: pods } = await answered<{
        podResources: { name: string; containers: { devices: { deviceIds: string[] }[] }[] }[]
      }>((answer) => client.List({}, answer))
      const idsOf = (entry: (typeof pods)[number]) =>
        entry.containers.flatMap(({ devices }) => devices.flatMap(({ deviceIds }) => deviceIds))
      return Object.fromEntries(pods.map((entry) => [entry.name, idsOf(entry)]))
    },
    async allocatable(): Promise<string[]> {
      const { devices } = await answered<{ devices: { deviceIds: string[] }[] }>((answer) =>
        client.GetAllocatableResources({}, answer),
      )
      return devices.flatMap(({ deviceIds }) => deviceIds)
    },
    async get(podName: string): Promise<string | undefined> {
      const { podResources: found } = await answered<{ podResources: { name: string } | null }>((answer) =>
        client.Get({ podNamespace: 'default', podName }, answer),
      )
      return found?.name
    },
  }
}

function answered<Answer>(call: (answer: requestCallback<Answer>) => unknown): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  call((failure, answer) => (failure || !answer ? reject(failure ?? new Error('no answer')) : resolve(answer)))
  return promise
}

test('Register is answered after the dial back and the question for options; the list is watched from localhost', async (t) => {
  const kubelet = await start(t)
  const plugin = await startPlugin(t, kubelet)
  const listed = once(kubelet.effects, 'listed')
  await plugin.register(resource)
  await listed
  assert.equal(plugin.calls[0], 'GetDevicePluginOptions')
  assert.ok(plugin.calls.includes('ListAndWatch from localhost'))
  assert.deepEqual(kubelet.counts().get(resource), { capacity: 0, allocatable: 0 })
})

test('Register is refused for another API version, a name that is no extended resource, and a socket that nobody serves', async (t) => {
  const kubelet = await start(t, { dialDeadlineMs: 50 })
  const plugin = await startPlugin(t, kubelet)
  await assert.rejects(plugin.register(resource, 'v1'), /API version "v1" is not supported/)
  await assert.rejects(plugin.register('upf_dataplane'), /ResourceName "upf_dataplane" is invalid/)
  await assert.rejects(
    new TinyPlugin(kubelet.dir, 'nobody.sock').register(resource),
    /failed to dial device plugin at .*nobody.sock/,
  )
})

test('a pod gets free healthy devices and the plugin is asked for exactly these', async (t) => {
  const kubelet = await start(t)
  const plugin = await startListed(t, kubelet, 'a', 'b')
  plugin.list('a', 'b', { ID: 'c', health: 'Unhealthy', topology: null })
  await kubelet.effects.until(() => kubelet.counts().get(resource)?.capacity === 3)
  const admission = await kubelet.admit(pod('upf', 2))
  assert.ok(admission.admitted)
  assert.deepEqual(admission.devices.toSorted(), ['a', 'b'])
  assert.equal(plugin.calls.at(-1), `Allocate ${admission.devices.join(',')}`)
  assert.equal(admission.response?.envs.DEVICES, admission.devices.join(','))
})

test('the order of devices is random, and the same for the same seed', async (t) => {
  const orders = new Map<number, string>()
  for (const seed of [1, 1, 2, 3, 4]) {
    const kubelet = await start(t, { seed })
    await startListed(t, kubelet, 'a', 'b', 'c', 'd', 'e')
    const admission = await kubelet.admit(pod('upf', 5))
    assert.ok(admission.admitted)
    const order = admission.devices.join('')
    assert.equal(orders.get(seed) ?? order, order)
    orders.set(seed, order)
  }
  assert.ok(new Set(orders.values()).size > 1)
})

test('a pod that asks for more than is free is rejected in the words of the kubelet', async (t) => {
  const kubelet = await start(t)
  await startListed(t, kubelet, 'a')
  await kubelet.admit(pod('first'))
  assert.deepEqual(await kubelet.admit(pod('second')), {
    admitted: false,
    reason: 'UnexpectedAdmissionError',
    message: `Pod was rejected: Allocate failed due to requested number of devices unavailable for ${resource}. Requested: 1, Available: 0, which is unexpected`,
  })
})

test('a pod is rejected when a registered resource has no device, and runs without one when the resource is unknown', async (t) => {
  const kubelet = await start(t)
  const early = await kubelet.admit(pod('early'))
  assert.deepEqual(early.admitted && early.devices, [])
  await startListed(t, kubelet)
  const late = await kubelet.admit(pod('late'))
  assert.match(late.admitted ? '' : late.message, /no healthy devices present/)
})

test('a pod whose Allocate the plugin refuses is rejected, and its device is free again', async (t) => {
  const kubelet = await start(t)
  const plugin = await startListed(t, kubelet, 'a')
  plugin.beforeAllocateAnswer = () => Promise.reject(new Error('handed out before'))
  const refused = await kubelet.admit(pod('refused'))
  assert.match(refused.admitted ? '' : refused.message, /handed out before/)
  plugin.beforeAllocateAnswer = async () => {}
  assert.ok((await kubelet.admit(pod('next'))).admitted)
})

test('PodResources says who holds what and what is healthy, until the pod ends', async (t) => {
  const kubelet = await start(t)
  await startListed(t, kubelet, 'a')
  const lister = podResources(t, kubelet)
  assert.deepEqual(await lister.list(), {})
  await kubelet.admit(pod('upf'))
  assert.deepEqual(await lister.list(), { upf: ['a'] })
  assert.deepEqual(await lister.allocatable(), ['a'])
  assert.equal(await lister.get('upf'), 'upf')

  kubelet.endPod(pod('upf'))
  assert.deepEqual(await lister.list(), {})
  await assert.rejects(lister.get('upf'), /pod upf in namespace default not found/)
  assert.ok((await kubelet.admit(pod('next'))).admitted)
})

test('PodResources refuses the eleventh call at once and takes more as time goes by', async (t) => {
  let nowMs = 0
  const kubelet = await start(t, { nowMs: () => nowMs })
  const lister = podResources(t, kubelet)
  for (let call = 0; call < 10; call++) await lister.list()
  await assert.rejects(lister.list(), /rejected by rate limit/)
  nowMs += 10
  await lister.list()
})

test('when the stream ends every device is unhealthy at once, and capacity stays', async (t) => {
  const kubelet = await start(t)
  await startListed(t, kubelet, 'a')
  const disconnected = once(kubelet.effects, 'disconnected')
  kubelet.killStreams()
  await disconnected
  assert.deepEqual(kubelet.counts().get(resource), { capacity: 1, allocatable: 0 })
  assert.ok(!(await kubelet.admit(pod('upf'))).admitted)
})

test('the end of an old stream disconnects the plugin that has taken over the name', async (t) => {
  const kubelet = await start(t)
  const old = await startListed(t, kubelet, 'a')
  const successor = await startPlugin(t, kubelet, 'new.sock')
  successor.list('a', 'b')
  await successor.register(resource)
  await kubelet.effects.until(() => kubelet.counts().get(resource)?.allocatable === 2)
  const disconnected = once(kubelet.effects, 'disconnected')
  old.stop()
  await disconnected
  assert.deepEqual(kubelet.counts().get(resource), { capacity: 2, allocatable: 0 })
})

test('a restart wipes sockets and nothing else, forgets plugins, and pods keep their devices', async (t) => {
  const kubelet = await start(t)
  await startListed(t, kubelet, 'a')
  await kubelet.admit(pod('upf'))
  const directory = join(kubelet.dir, 'device-plugins')
  await writeFile(join(directory, 'kubelet_internal_checkpoint'), '{}')
  await mkdir(join(directory, 'DEPRECATION'))

  await kubelet.restart()
  assert.deepEqual((await readdir(directory)).toSorted(), [
    'DEPRECATION',
    'kubelet.sock',
    'kubelet_internal_checkpoint',
  ])
  assert.deepEqual(kubelet.counts().get(resource), { capacity: 0, allocatable: 0 })
  assert.deepEqual(await podResources(t, kubelet).list(), { upf: ['a'] })

  const again = await startPlugin(t, kubelet, 'again.sock')
  again.list('a')
  await again.register(resource)
  await kubelet.effects.until(() => kubelet.counts().get(resource)?.allocatable === 1)
  const second = await kubelet.admit(pod('second'))
  assert.match(second.admitted ? '' : second.message, /Requested: 1, Available: 0/)
})

test('a Register that a restart overtakes has no effect', async (t) => {
  const kubelet = await start(t)
  const plugin = await startPlugin(t, kubelet)
  const release = kubelet.holdDials()
  const held = once(kubelet.effects, 'dial-held')
  const registered = assert.rejects(plugin.register(resource))
  await held
  const refused = once(kubelet.effects, 'register-refused')
  await kubelet.restart()
  release()
  await Promise.all([registered, refused])
  assert.equal(kubelet.counts().size, 0)
})

test('faults on demand: Register refused, the dial held back', async (t) => {
  const kubelet = await start(t)
  const plugin = await startPlugin(t, kubelet)
  kubelet.refuseRegister('not today')
  await assert.rejects(plugin.register(resource), /not today/)
  kubelet.refuseRegister(null)

  const release = kubelet.holdDials()
  const held = once(kubelet.effects, 'dial-held')
  const registered = plugin.register(resource)
  await held
  assert.ok(!plugin.calls.includes('GetDevicePluginOptions'))
  release()
  await registered
})

test('faults on demand: Register answered late, while the list is watched already', async (t) => {
  const kubelet = await start(t)
  const plugin = await startPlugin(t, kubelet)
  const answer = kubelet.holdRegisterAnswers()
  const listed = once(kubelet.effects, 'listed')
  const registered = plugin.register(resource)
  await listed
  plugin.list('a')
  await kubelet.effects.until(() => kubelet.counts().get(resource)?.allocatable === 1)
  assert.ok(!plugin.calls.includes('Register answered'))
  answer()
  await registered
})

test('faults on demand: a list that comes between the choice of a device and its Allocate', async (t) => {
  const kubelet = await start(t)
  const plugin = await startListed(t, kubelet, 'a')
  const callAllocate = kubelet.holdAllocate()
  const held = once(kubelet.effects, 'allocate-held')
  const admission = kubelet.admit(pod('upf'))
  assert.deepEqual(await held, [['a']])
  plugin.list({ ID: 'a', health: 'Unhealthy', topology: null })
  await kubelet.effects.until(() => kubelet.counts().get(resource)?.allocatable === 0)
  assert.ok(!plugin.calls.includes('Allocate a'))
  callAllocate()
  assert.ok((await admission).admitted)
})

test('faults on demand: a List that waits for its answer', async (t) => {
  const kubelet = await start(t)
  const lister = podResources(t, kubelet)
  const answer = kubelet.holdLists()
  const held = once(kubelet.effects, 'list-held')
  const listed = lister.list()
  await held
  answer()
  assert.deepEqual(await listed, {})
})

test('after a restart no pods are listed until their source has delivered, and none loses its devices meanwhile', async (t) => {
  const kubelet = await start(t, { podSourceDelayMs: 300 })
  const lister = podResources(t, kubelet)
  await startListed(t, kubelet, 'a')
  await kubelet.admit(pod('upf'))
  await kubelet.restart()
  assert.deepEqual(await lister.list(), {})
  await assert.rejects(lister.get('upf'), /pod upf in namespace default not found/)
  let last: Record<string, string[]> = {}
  while (Object.keys(last).length === 0) last = await lister.list()
  assert.deepEqual(last, { upf: ['a'] })
})

test('Get collects no ended pods: an Allocate that is open during it keeps its device', async (t) => {
  const kubelet = await start(t)
  const plugin = await startListed(t, kubelet, 'a', 'b')
  const lister = podResources(t, kubelet)
  await kubelet.admit(pod('old'))
  plugin.beforeAllocateAnswer = async () => {
    kubelet.endPod(pod('old'))
    await assert.rejects(lister.get('old'), /not found/)
  }
  await kubelet.admit(pod('first'))
  plugin.beforeAllocateAnswer = async () => {}
  // Had Get counted anew, both devices would seem to be free.
  assert.equal(kubelet.counts().get(resource)?.allocatable, 2)
  const second = await kubelet.admit(pod('second', 2))
  assert.match(second.admitted ? '' : second.message, /Requested: 2, Available: 1/)
})

test('a List that races with Allocate lets the kubelet give one device to two pods', async (t) => {
  const kubelet = await start(t)
  const plugin = await startListed(t, kubelet, 'a')
  kubelet.raceListDuringAllocate()
  await kubelet.admit(pod('first'))
  await kubelet.admit(pod('second'))
  assert.deepEqual(plugin.calls.slice(-2), ['Allocate a', 'Allocate a'])
})

test('the same race without the fault: a pod ends and somebody calls List while Allocate is open', async (t) => {
  const kubelet = await start(t)
  const plugin = await startListed(t, kubelet, 'a', 'b')
  const lister = podResources(t, kubelet)
  await kubelet.admit(pod('old'))
  const free = (await lister.list()).old?.[0] === 'a' ? 'b' : 'a'
  plugin.beforeAllocateAnswer = async () => {
    kubelet.endPod(pod('old'))
    await lister.list()
  }
  await kubelet.admit(pod('first'))
  plugin.beforeAllocateAnswer = async () => {}
  const second = await kubelet.admit(pod('second', 2))
  assert.deepEqual(second.admitted && second.devices.toSorted(), ['a', 'b'])
  assert.deepEqual(await lister.list(), { first: [free], second: second.admitted && second.devices })
})

test('the kubelet panics when a device leaves the list while its Allocate is open', async (t) => {
  const kubelet = await start(t)
  const plugin = await startListed(t, kubelet, 'a')
  plugin.beforeAllocateAnswer = async () => {
    plugin.list()
    await kubelet.effects.until(() => kubelet.counts().get(resource)?.capacity === 0)
  }
  const crashed = once(kubelet.effects, 'crashed')
  const admission = await kubelet.admit(pod('upf'))
  const [reason] = await crashed
  assert.match(reason, /nil pointer dereference/)
  assert.ok(!admission.admitted)
})
