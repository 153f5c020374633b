// The device plugin in the pods of its DaemonSet, on two real kubelets: it has the rights that deploy/ gives it and no others, does its
// work with them, and no pod that holds a device notices when it is killed or replaced.
import type { V1Pod } from '@kubernetes/client-node'
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { runCommand } from '../../sim/cluster/run-command.ts'
import { deployedDaemonSet, devicePluginsRolledOut } from '../../sim/installation/device-plugin-pods.ts'
import { processOf } from './container-process.ts'
import { holdingOf, journalOf, overridesOf } from './held-cards.ts'
import { Scenario, twoNodes } from './scenario.ts'
import { upfPod, userPlane } from './upf-manifests.ts'

/** Its bit in the capability sets of proc(5) (include/uapi/linux/capability.h). */
const netAdmin = 1n << 12n
const daemonSetName = deployedDaemonSet().metadata.name
const nodeNames = twoNodes.map(({ name }) => name)
const staying = nodeNames.map((name) => `stays-${name}`)
const coming = nodeNames.map((name) => `comes-${name}`)

describe('the device plugin as it is deployed', () => {
  let scenario: Scenario
  before(async () => {
    await runCommand('npm', ['run', 'build'], { cwd: fileURLToPath(new URL('../..', import.meta.url)) })
    scenario = await Scenario.start({ nodes: twoNodes, devicePlugins: 'pods' })
    await scenario.nodeENIReady(userPlane('user-plane'))
    await scenario.apply(...onEachNode('stays'))
    await scenario.running(...staying)
    await nextPodsRun()
  })
  afterEach(() => scenario.check())
  after(() => scenario[Symbol.asyncDispose]())

  const nextPodsRun = async () => {
    await scenario.apply(...onEachNode('comes'))
    await scenario.running(...coming)
    await scenario.check()
    await scenario.deletePods(...coming)
    await scenario.check()
  }

  const pluginPods = async () => {
    const path = '/api/v1/namespaces/jit-eni/pods'
    const query = { labelSelector: `app.kubernetes.io/name=${daemonSetName}` }
    const { items } = await scenario.observer.api.request<{ items: V1Pod[] }>('GET', path, { query })
    return items
  }

  const whatMustStay = async () => ({
    pods: await Promise.all(staying.map((name) => holdingOf(scenario, name))),
    journals: nodeNames.map((name) => journalOf(scenario, name)),
    overrides: nodeNames.map((name) => overridesOf(scenario, name)),
    cards: nodeNames.map((name) => scenario.installation.bus(name).cards()),
  })

  it('is root without capabilities, cannot gain any, is filtered by seccomp, and writes only where it must', async () => {
    const { add = [], drop } = deployedDaemonSet().spec.template.spec.containers[0].securityContext.capabilities
    assert.deepEqual(drop, ['ALL'])
    assert.ok(
      add.every((name) => name === 'NET_ADMIN'),
      add.join(),
    )
    const allowed = add.length === 0 ? 0n : netAdmin
    const pods = await pluginPods()
    assert.equal(pods.length, nodeNames.length)
    for (const { status, mounts } of pods.map(processOf)) {
      assert.equal(status.get('Uid'), '0\t0\t0\t0')
      for (const set of ['CapEff', 'CapPrm', 'CapBnd']) assert.equal(BigInt(`0x${status.get(set)}`), allowed, set)
      for (const set of ['CapInh', 'CapAmb']) assert.equal(BigInt(`0x${status.get(set)}`), 0n, set)
      assert.equal(status.get('NoNewPrivs'), '1')
      assert.equal(status.get('Seccomp'), '2')
      const writable = [...mounts].filter(([, options]) => options.includes('rw')).map(([mountPoint]) => mountPoint)
      assert.equal(mounts.get('/')?.includes('ro'), true, 'the root file system is read-only')
      assert.deepEqual(writable.filter((mountPoint) => !isOfRuntime(mountPoint)).toSorted(), writableVolumes())
    }
  })

  it('it is killed: its container comes back, pods go on, the next pods get the free devices', async () => {
    const earlier = await whatMustStay()
    const killed = await pluginPods()
    for (const { pid } of killed.map(processOf)) process.kill(pid, 'SIGKILL')
    for (const { metadata } of killed) {
      const name = metadata?.name ?? ''
      const restarted = '--for=jsonpath={.status.containerStatuses[0].restartCount}=1'
      await scenario.kubectl('wait', 'pod', name, '-n', 'jit-eni', restarted, '--timeout=60s')
      await scenario.kubectl('wait', 'pod', name, '-n', 'jit-eni', '--for=condition=Ready', '--timeout=60s')
    }
    await nextPodsRun()
    assert.deepEqual(await whatMustStay(), earlier)
  })

  it('it is replaced by a rolling update: pods go on, the next pods get the free devices', async () => {
    const earlier = await whatMustStay()
    const replaced = (await pluginPods()).map(({ metadata }) => metadata?.uid)
    await scenario.kubectl('rollout', 'restart', `daemonset/${daemonSetName}`, '-n', 'jit-eni')
    await devicePluginsRolledOut(scenario.installation.cluster)
    const now = (await pluginPods()).map(({ metadata }) => metadata?.uid)
    assert.ok(now.every((uid) => !replaced.includes(uid)))
    await nextPodsRun()
    assert.deepEqual(await whatMustStay(), earlier)
  })

  it('releases what nobody uses: the cards go back to the kernel and the ENIs to EC2', async () => {
    await scenario.clear()
    const { ec2, primaryEnis } = scenario.installation
    assert.deepEqual(
      ec2.state.enis().map(({ eniId }) => eniId),
      primaryEnis,
    )
  })
})

/** What every container has, whatever its pod asks for. */
function isOfRuntime(mountPoint: string): boolean {
  return (
    /^\/(proc|dev|sys)(\/|$)/.test(mountPoint) ||
    ['/etc/hosts', '/etc/hostname', '/etc/resolv.conf'].includes(mountPoint)
  )
}

function writableVolumes(): string[] {
  const { volumeMounts } = deployedDaemonSet().spec.template.spec.containers[0]
  return volumeMounts
    .filter(({ readOnly }) => readOnly !== true)
    .map(({ mountPath }) => mountPath)
    .toSorted()
}

function onEachNode(name: string): object[] {
  return nodeNames.map((node) => upfPod(`${name}-${node}`, 1, { nodeSelector: { 'kubernetes.io/hostname': node } }))
}
