// The main job, end to end on real Kubernetes: the walk-through of a 5G UPF with its own manifests, by the compiled programs,
// the device plugin in the pods of its DaemonSet.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, afterEach, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseAllDocuments } from 'yaml'
import { runCommand } from '../../sim/cluster/run-command.ts'
import { isIdle } from '../../src/api/eni-attachment.ts'
import { network } from '../../sim/installation/account.ts'
import { Scenario, twoNodes } from './scenario.ts'

const namespace = 'telco-cnf'
const changing = [
  'CreateNetworkInterface',
  'AttachNetworkInterface',
  'ModifyNetworkInterfaceAttribute',
  'DetachNetworkInterface',
  'DeleteNetworkInterface',
] as const

describe('the UPF walk-through', () => {
  let scenario: Scenario
  before(async () => {
    await runCommand('npm', ['run', 'build'], { cwd: fileURLToPath(new URL('../..', import.meta.url)) })
    scenario = await Scenario.start({ code: 'dist', devicePlugins: 'pods', nodes: twoNodes })
  })
  afterEach(() => scenario.check())
  after(() => scenario[Symbol.asyncDispose]())

  const pods = () => scenario.observer.allPods().filter((pod) => pod.namespace === namespace)
  const runningPods = () => pods().filter(({ running, deleting }) => running && !deleting)
  // An attach may be refused because EC2 does not know yet what it has just made.
  const changes = () =>
    changing.map(
      (action) => scenario.installation.ec2.calls.of(action).filter(({ error }) => error === undefined).length,
    )
  const scale = (replicas: number) =>
    scenario.kubectl('scale', 'deployment', 'upf-cnf', '-n', namespace, `--replicas=${replicas}`)

  it('the two NodeENIs are accepted unchanged and become usable; the control plane gets an ENI per node', async () => {
    const [controlPlane, userPlane] = example('upf-node-enis.yaml')
    assert.ok(controlPlane && userPlane)
    await scenario.nodeENIReady(controlPlane as never)
    await scenario.nodeENIReady(userPlane as never)
    await scenario.until(
      'control-plane ENIs',
      () => scenario.attachmentsOf('upf-control-plane').filter(({ status }) => status?.eni?.attached).length === 2,
    )
    for (const { status } of scenario.attachmentsOf('upf-control-plane')) {
      assert.equal(status?.eni?.deviceIndex, 2)
      assert.equal(status?.eni?.subnetID, network.controlPlaneSubnet)
    }
    assert.equal(scenario.attachmentsOf('upf-user-plane-dpdk').length, 0)
  })

  it('two replicas run, each with an ENI that was attached just in time', async () => {
    const manifests = example('upf-cnf.yaml')
    const container = manifests.at(-1)?.spec?.template?.spec.containers[0]
    Object.assign(container ?? {}, { image: 'localhost/upf-cnf:demo', imagePullPolicy: 'Never' })
    await scenario.apply(...manifests)
    await scenario.until('two pods Running', () => runningPods().length === 2)
    assert.equal(scenario.attachmentsOf('upf-user-plane-dpdk').length, 2)
    for (const { name, nodeName } of runningPods()) {
      const log = await scenario.kubectl('logs', '-n', namespace, name)
      const [, pciAddress] = /^PCIDEVICE_INTEL_COM_UPF_DATAPLANE=(.*)$/m.exec(log) ?? []
      const [, info] = /^PCIDEVICE_INTEL_COM_UPF_DATAPLANE_INFO=(.*)$/m.exec(log) ?? []
      const attachment = scenario
        .attachmentsOf('upf-user-plane-dpdk')
        .find(({ spec }) => spec.nodeName === nodeName && spec.claim?.name === name)
      assert.equal(pciAddress, attachment?.status?.device?.pciAddress, log)
      const details = JSON.parse(info ?? '{}') as Record<
        string,
        { vfio: { 'dev-mount': string }; eni: { id: string; mac: string } }
      >
      const device = details[pciAddress ?? '']
      assert.equal(device?.eni.id, attachment?.status?.eni?.eniID)
      assert.equal(device?.eni.mac, attachment?.status?.eni?.mac)
      assert.match(
        log,
        new RegExp(`c.* ${device?.vfio['dev-mount'].split('/').at(-1)}$`, 'm'),
        'the group node is a character device in the pod',
      )
    }
    const modes = scenario.installation.cluster.nodes.map(
      ({ name }) =>
        scenario.installation
          .bus(name)
          .cards()
          .filter(({ driver }) => driver === 'vfio-pci').length,
    )
    assert.deepEqual(modes, [1, 1])
  })

  it('every ENI survives its pod and belongs to the cluster: tags, DeleteOnTermination, one call of each kind', () => {
    for (const { eniId, attachment } of scenario.installation.ec2.state.enis()) {
      if (!scenario.installation.primaryEnis.includes(eniId)) assert.equal(attachment?.deleteOnTermination, true)
    }
    assert.deepEqual(changes(), [4, 4, 4, 0, 0], changing.join(', '))
  })

  it('pods that come again take the idle ENIs without any EC2 call', async () => {
    await scale(0)
    await scenario.until(
      'idle ENIs',
      () => pods().length === 0 && scenario.attachmentsOf('upf-user-plane-dpdk').filter(isIdle).length === 2,
    )
    await scale(2)
    await scenario.until('two pods Running', () => runningPods().length === 2)
    assert.deepEqual(changes(), [4, 4, 4, 0, 0], changing.join(', '))
  })

  it('releaseAfter ends the idle ENIs, and deleting the NodeENIs empties EC2', async () => {
    await scenario.kubectl(
      'patch',
      'nodeeni',
      'upf-user-plane-dpdk',
      '--type=merge',
      '-p',
      '{"spec":{"releaseAfter":"1s"}}',
    )
    await scale(0)
    await scenario.until('user-plane ENIs released', () => scenario.attachmentsOf('upf-user-plane-dpdk').length === 0)
    assert.equal(scenario.attachmentsOf('upf-control-plane').length, 2)
    await scenario.kubectl('delete', 'nodeeni', '--all', '--wait=true')
    assert.deepEqual(
      scenario.installation.ec2.state.enis().map(({ eniId }) => eniId),
      scenario.installation.primaryEnis,
    )
    for (const { name } of scenario.installation.cluster.nodes) {
      assert.equal(scenario.installation.bus(name).cards().length, 1, 'only the primary card is left')
    }
  })
})

interface Example {
  readonly spec?: { readonly template?: { readonly spec: { readonly containers: readonly object[] } } }
}

function example(file: string): Example[] {
  const text = readFileSync(new URL(`../../deploy/examples/${file}`, import.meta.url), 'utf8')
  return parseAllDocuments(text).map((document) => document.toJS() as Example)
}
