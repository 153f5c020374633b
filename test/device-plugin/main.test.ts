// The program as it is deployed, between an API server, a kubelet and a PCI bus: what it writes where, and how it ends.
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

import { type ENIAttachment, newAttachment } from '../../src/api/eni-attachment.ts'
import { apiVersion, eniFinalizer } from '../../src/api/names.ts'
import { type Kubelet, startKubelet } from '../../sim/kubelet/kubelet.ts'
import { type PciBus, startPciBus } from '../../sim/pci/bus.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'
import { instanceID, resource } from './cluster-in-memory.ts'

const mac = '02:00:00:00:00:66'
const main = fileURLToPath(new URL('../../src/device-plugin/main.ts', import.meta.url))

interface Program {
  readonly process: ChildProcess
  readonly lines: readonly Record<string, unknown>[]
}

interface Rig {
  readonly root: string
  readonly api: FakeApiServer
  readonly kubelet: Kubelet
  readonly bus: PciBus
  readonly start: () => Program
}

async function rig(t: TestContext): Promise<Rig> {
  const root = mkdtempSync('/tmp/jm-')
  const api = await FakeApiServer.start()
  const bus = await startPciBus({ root, iommu: 'vfio', primaryMac: '02:00:00:00:00:01' })
  const kubelet = await startKubelet({ dir: join(root, 'k') })
  const programs: ChildProcess[] = []
  const start = () => {
    const program = startProgram(root, api)
    programs.push(program.process)
    return program
  }
  t.after(async () => {
    for (const program of programs) await killed(program)
    kubelet.close()
    bus.stop()
    await api.stop()
    rmSync(root, { recursive: true, force: true })
  })
  return { root, api, kubelet, bus, start }
}

function startProgram(root: string, api: FakeApiServer): Program {
  const program = spawn(process.execPath, [main], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      NODE_NAME: 'node-a',
      JIT_ENI_RESOURCES: resource,
      KUBECONFIG: api.kubeconfig,
      JIT_ENI_SYS: join(root, 'sys'),
      JIT_ENI_DEV: join(root, 'dev'),
      JIT_ENI_PROC: join(root, 'proc'),
      JIT_ENI_DEVICE_PLUGINS_DIR: join(root, 'k/device-plugins'),
      JIT_ENI_POD_RESOURCES_SOCKET: join(root, 'k/pod-resources/kubelet.sock'),
      JIT_ENI_CDI_DIR: join(root, 'cdi'),
      JIT_ENI_DEVICE_INFO_DIR: join(root, 'devinfo/dp'),
      JIT_ENI_INSTANCE_METADATA: 'off',
      JIT_ENI_STATE_DIR: join(root, 'state'),
    },
  })
  const lines: Record<string, unknown>[] = []
  createInterface(program.stdout).on('line', (line) => lines.push(JSON.parse(line) as Record<string, unknown>))
  return { process: program, lines }
}

async function killed(program: ChildProcess): Promise<void> {
  if (program.exitCode !== null || program.signalCode !== null) return
  program.kill('SIGKILL')
  await once(program, 'exit')
}

/** A node and a NodeENI, and a claimed ENI whose card is plugged; resolves when its claim is acknowledged. */
async function acknowledged({ api, kubelet, bus }: Rig): Promise<unknown> {
  const labelled = { name: 'node-a', labels: { upf: 'yes' } }
  api.store('nodes').create({ metadata: labelled, spec: { providerID: `aws:///eu-central-1a/${instanceID}` } })
  api.store('nodeenis').create({
    apiVersion,
    kind: 'NodeENI',
    metadata: { name: 'upf' },
    spec: {
      nodeSelector: { upf: 'yes' },
      subnetID: 'subnet-1',
      securityGroupIDs: ['sg-1'],
      enableDPDK: true,
      dpdkResourceName: resource,
    },
  })
  await kubelet.effects.until(() => kubelet.counts().has(resource))

  api.store('eniattachments').create({
    ...(newAttachment('a', { ...unclaimed, claim }) as { readonly metadata: object }),
    status: { phase: 'Attaching', eni: { eniID: 'eni-a', mac } },
  })
  await bus.plug({ mac, eniId: 'eni-a', deviceIndex: 1 })
  return api.until('eniattachments', 'a', (is) => statusOf(is).device?.acknowledged === 'pod-1')
}

const claim = { namespace: 'core', name: 'upf-0', uid: 'pod-1' }
const unclaimed = { nodeENI: 'upf', nodeName: 'node-a', instanceID, resourceName: resource }

function statusOf(object: unknown): NonNullable<ENIAttachment['status']> {
  return (object as ENIAttachment | undefined)?.status ?? {}
}

test('a card becomes a device, its claim is acknowledged, and on release only our finalizer goes', async (t) => {
  const node = await rig(t)
  const { api, bus } = node
  const { process: program, lines } = node.start()
  const ready = await acknowledged(node)
  assert.equal(statusOf(ready).phase, 'Ready')
  assert.equal(statusOf(ready).eni?.eniID, 'eni-a')
  assert.equal(statusOf(ready).device?.driver, 'vfio-pci')

  api.store('eniattachments').update('a', (object) => ({ ...object, spec: unclaimed }))
  api.store('eniattachments').delete('a')
  const released = await api.until('eniattachments', 'a', (is) => is?.metadata.finalizers?.length === 1)
  assert.deepEqual(released?.metadata.finalizers, [eniFinalizer])
  assert.equal(bus.cards().find((card) => card.mac === mac)?.driver, 'ena')

  program.kill('SIGTERM')
  const [code] = await once(program, 'exit')
  assert.equal(code, 0)
  const told = [
    'resource registered',
    'card seen',
    'card bound',
    'device advertised',
    'claim acknowledged',
    'card restored',
    'card released',
  ]
  const texts = new Set(lines.map(({ msg }) => msg))
  assert.deepEqual(
    told.filter((text) => texts.has(text)),
    told,
  )
})

test('killed while a pod has its device, it finds all as it was and touches nothing', async (t) => {
  const node = await rig(t)
  const { api, kubelet, bus, root } = node
  const first = node.start()
  await acknowledged(node)
  assert.ok((await kubelet.admit({ namespace: 'core', name: 'upf-0', resource, count: 1 })).admitted)
  const before = await api.until('eniattachments', 'a', (is) => statusOf(is).device?.inUseBy?.name === 'upf-0')
  const gone = kubelet.effects.until(() => kubelet.counts().get(resource)?.allocatable === 0)
  await killed(first.process)
  await gone

  const second = node.start()
  await kubelet.effects.until(() => kubelet.counts().get(resource)?.allocatable === 1)
  await once(kubelet.effects, 'pods-listed')
  assert.deepEqual(statusOf(api.store('eniattachments').get('a')).device, statusOf(before).device)
  assert.equal(bus.cards().find((card) => card.mac === mac)?.driver, 'vfio-pci')
  assert.ok(!second.lines.some(({ msg }) => msg === 'card bound'))
  const sockets = readdirSync(join(root, 'k/device-plugins')).filter((name) => name.startsWith('jit-eni-'))
  assert.equal(sockets.length, 1)
})
