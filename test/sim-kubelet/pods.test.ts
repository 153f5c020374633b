// Pods of several containers and resources in the stand-in kubelet, the plugin's hints, and what a container is given at each start.
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { type Kubelet, startKubelet } from '../../sim/kubelet/kubelet.ts'
import type { ContainerDemand } from '../../sim/kubelet/admission.ts'
import { PodResourcesClient } from '../../src/device-plugin/pod-resources.ts'
import { TinyPlugin } from './tiny-plugin.ts'

const resource = 'intel.com/upf_dataplane'
const other = 'intel.com/sriov_kernel'
const pod = { namespace: 'core', name: 'upf-0' }

async function start(t: TestContext): Promise<Kubelet> {
  const dir = mkdtempSync(join(tmpdir(), 'kp-'))
  const kubelet = await startKubelet({ dir, cdiDir: join(dir, 'cdi') })
  t.after(() => {
    kubelet.close()
    rmSync(dir, { recursive: true })
  })
  return kubelet
}

async function plug(t: TestContext, kubelet: Kubelet, name: string, ids: readonly string[]): Promise<TinyPlugin> {
  const plugin = new TinyPlugin(kubelet.dir, `${name.split('/')[1]}.sock`)
  t.after(() => plugin.stop())
  await plugin.serve()
  plugin.list(...ids)
  return plugin
}

async function register(plugin: TinyPlugin, kubelet: Kubelet, name: string, count: number): Promise<void> {
  await plugin.register(name)
  await kubelet.effects.until(() => kubelet.counts().get(name)?.allocatable === count)
}

function container(name: string, kind: ContainerDemand['kind'], limits: Record<string, number>): ContainerDemand {
  return { name, kind, limits }
}

async function holders(kubelet: Kubelet): Promise<readonly string[]> {
  const client = new PodResourcesClient(join(kubelet.dir, 'pod-resources/kubelet.sock'))
  const { holders: held } = await client.holders()
  client.close()
  return [...held.keys()].toSorted()
}

test('each container gets devices of each of its resources', async (t) => {
  const kubelet = await start(t)
  await register(await plug(t, kubelet, resource, ['a', 'b', 'c']), kubelet, resource, 3)
  await register(await plug(t, kubelet, other, ['x']), kubelet, other, 1)
  const containers = [
    container('one', 'app', { [resource]: 2, [other]: 1 }),
    container('two', 'app', { [resource]: 1 }),
  ]
  const result = await kubelet.admit({ ...pod, containers })
  assert.ok(result.admitted)
  assert.deepEqual(
    result.allocations.map(({ container: name, resource: of, devices }) => `${name} ${of} ${devices.length}`),
    [`one ${resource} 2`, `one ${other} 1`, `two ${resource} 1`],
  )
  assert.deepEqual(result.devices.toSorted(), ['a', 'b', 'c', 'x'])
  assert.equal((await holders(kubelet)).length, 4)
})

test('app containers use again what init containers had, of which List tells nothing; sidecars keep theirs', async (t) => {
  const kubelet = await start(t)
  const plugin = await plug(t, kubelet, resource, ['a', 'b'])
  await register(plugin, kubelet, resource, 2)
  const containers = [
    container('prepare', 'init', { [resource]: 1 }),
    container('proxy', 'sidecar', { [resource]: 1 }),
    container('main', 'app', { [resource]: 1 }),
  ]
  const result = await kubelet.admit({ ...pod, containers })
  assert.ok(result.admitted)
  const [prepare, proxy, main] = result.allocations.map(({ devices }) => devices[0])
  // The sidecar comes next, so it is the one that uses the init container's again.
  assert.equal(proxy, prepare)
  assert.notEqual(main, proxy)
  assert.equal(plugin.calls.filter((call) => call.startsWith('Allocate')).length, 3)

  kubelet.endPod(pod)
  const alone = { namespace: 'core', name: 'upf-1' }
  const second = await kubelet.admit({ ...alone, containers: [container('prepare', 'init', { [resource]: 1 })] })
  assert.ok(second.admitted)
  assert.deepEqual(await holders(kubelet), [])
})

test('a pod of which one container cannot be served is refused, and what the others had is free at the next admission', async (t) => {
  const kubelet = await start(t)
  await register(await plug(t, kubelet, resource, ['a', 'b']), kubelet, resource, 2)
  const containers = [container('one', 'app', { [resource]: 1 }), container('two', 'app', { [resource]: 2 })]
  const result = await kubelet.admit({ ...pod, containers })
  assert.match(result.admitted ? '' : result.message, /Requested: 2, Available: 1/)
  assert.ok((await kubelet.admit({ namespace: 'core', name: 'next', resource, count: 2 })).admitted)
})

test('a plugin that offers preferences is asked with what is free, and its wish is followed as far as it goes', async (t) => {
  const kubelet = await start(t)
  const plugin = await plug(t, kubelet, resource, ['a', 'b', 'c'])
  plugin.options = { getPreferredAllocationAvailable: true }
  plugin.prefers = ['c', 'nobody']
  await register(plugin, kubelet, resource, 3)
  const first = await kubelet.admit({ ...pod, resource, count: 1 })
  assert.deepEqual(first.admitted && first.devices, ['c'])
  assert.ok(plugin.calls.includes('GetPreferredAllocation 1 of a,b,c with '))
  const second = await kubelet.admit({ namespace: 'core', name: 'upf-1', resource, count: 2 })
  assert.deepEqual(second.admitted && second.devices.toSorted(), ['a', 'b'])
})

test('the hint says what must be included: a device that an init container had', async (t) => {
  const kubelet = await start(t)
  const plugin = await plug(t, kubelet, resource, ['a', 'b'])
  plugin.options = { getPreferredAllocationAvailable: true }
  plugin.prefers = ['a']
  await register(plugin, kubelet, resource, 2)
  const containers = [container('prepare', 'init', { [resource]: 1 }), container('main', 'app', { [resource]: 2 })]
  const result = await kubelet.admit({ ...pod, containers })
  assert.ok(result.admitted)
  assert.ok(plugin.calls.includes('GetPreferredAllocation 2 of a,b with a'))
})

test('each start of a container asks the plugin, when it wants that, and replays the answer of the one Allocate', async (t) => {
  const kubelet = await start(t)
  const plugin = await plug(t, kubelet, resource, ['a'])
  plugin.options = { preStartRequired: true }
  await register(plugin, kubelet, resource, 1)
  assert.ok((await kubelet.admit({ ...pod, resource, count: 1 })).admitted)
  for (const _ of [1, 2]) {
    const started = await kubelet.startContainer(pod)
    assert.deepEqual(started.started && started.envs, { DEVICES: 'a' })
  }
  assert.deepEqual(
    plugin.calls.filter((call) => /^(Allocate|PreStart)/.test(call)),
    ['Allocate a', 'PreStartContainer a', 'PreStartContainer a'],
  )
  plugin.preStartAnswer = () => new Error('another group by now')
  const refused = await kubelet.startContainer(pod)
  assert.match(refused.started ? '' : refused.reason, /PreStartContainer rpc failed with err: .*another group by now/)
})

test('after a reboot a pod is admitted again when its devices are healthy, and has failed when they are not there yet', async (t) => {
  const kubelet = await start(t)
  const plugin = await plug(t, kubelet, resource, ['a', 'b'])
  await register(plugin, kubelet, resource, 2)
  assert.ok((await kubelet.admit({ ...pod, resource, count: 2 })).admitted)
  assert.equal(await kubelet.readmit(pod), null)
  plugin.list('a')
  await kubelet.effects.until(() => kubelet.counts().get(resource)?.allocatable === 1)
  assert.match((await kubelet.readmit(pod)) ?? '', /previously allocated devices are no longer healthy/)
  assert.deepEqual(await holders(kubelet), [])
})
