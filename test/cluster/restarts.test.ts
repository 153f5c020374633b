// Kubelet, device plugin and containerd restart under running pods on two nodes, alone and all at once: the pods go on in the same
// containers with the same devices, nobody writes to a card, the resource comes back, and the next pod gets a free device.
import type { V1Pod } from '@kubernetes/client-node'
import assert from 'node:assert/strict'
import { after, afterEach, before, describe, it } from 'node:test'
import type { ClusterNode } from '../../sim/cluster/node/cluster-node.ts'
import type { Program } from '../../sim/installation/program.ts'
import { podPath } from '../../src/kube/resource.ts'
import { processOf } from './container-process.ts'
import { holdingOf, journalOf, overridesOf } from './held-cards.ts'
import { Scenario, twoNodes } from './scenario.ts'
import { dataplane, upfPod, userPlane } from './upf-manifests.ts'

type Restart = (node: ClusterNode, plugin: Program) => Promise<void>

const restartPlugin: Restart = async (_node, plugin) => {
  await plugin.stop()
  plugin.start()
}
const killPlugin: Restart = async (_node, plugin) => {
  await plugin.kill()
  plugin.start()
}
const killContainerd: Restart = async (node) => {
  await node.killContainerd()
  await node.startContainerd()
}

/** Those after which the plugin has to register anew. */
const ofThePair: Readonly<Record<string, Restart>> = {
  'the kubelet is restarted': (node) => node.restartKubelet(),
  'the kubelet is killed': async (node) => {
    await node.killKubelet()
    await node.startKubelet()
  },
  'the device plugin is restarted': restartPlugin,
  'the device plugin is killed': killPlugin,
  'all are killed at once': async (node, plugin) => {
    await Promise.all([node.killKubelet(), node.killContainerd(), plugin.kill()])
    plugin.start()
    await node.startContainerd()
    await node.startKubelet()
  },
  'all are killed, and the device plugin comes last': async (node, plugin) => {
    await Promise.all([node.killKubelet(), node.killContainerd(), plugin.kill()])
    await node.startContainerd()
    await node.startKubelet()
    plugin.start()
  },
}

const ofContainerd: Readonly<Record<string, Restart>> = {
  'containerd is restarted': async (node) => {
    await node.stopContainerd()
    await node.startContainerd()
  },
  'containerd is killed': killContainerd,
}

const nodeNames = twoNodes.map(({ name }) => name)
const staying = nodeNames.map((name) => `stays-${name}`)
const coming = nodeNames.map((name) => `comes-${name}`)

describe('restarts under running pods', () => {
  let scenario: Scenario
  before(async () => {
    scenario = await Scenario.start({ nodes: twoNodes })
    await scenario.nodeENIReady(userPlane('user-plane'))
    await scenario.apply(...onEachNode('stays'))
    await scenario.running(...staying)
    // Each node has an idle ENI from here on: nothing has to be attached any more.
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

  const whatMustStay = async () => ({
    pods: await Promise.all(staying.map((name) => holdingOf(scenario, name))),
    journals: nodeNames.map((name) => journalOf(scenario, name)),
    overrides: nodeNames.map((name) => overridesOf(scenario, name)),
    cards: nodeNames.map((name) => scenario.installation.bus(name).cards()),
  })

  const onEachNodeAtOnce = async (restart: Restart) => {
    const { installation } = scenario
    await Promise.all(
      nodeNames.map((name) => restart(installation.cluster.node(name), installation.devicePlugin(name))),
    )
  }

  const leavesAlone = async (restarted: () => Promise<void>) => {
    const earlier = await whatMustStay()
    for (const { container, devices } of earlier.pods) {
      assert.equal(container.restarts, 0)
      assert.equal(devices.length, 1)
    }
    const effects: string[] = []
    const buses = nodeNames.map((name) => scenario.installation.bus(name))
    const note = () => effects.push('a card has changed')
    for (const bus of buses) bus.effects.on('change', note)
    await restarted()
    await nextPodsRun()
    for (const bus of buses) bus.effects.off('change', note)
    assert.deepEqual(await whatMustStay(), earlier)
    assert.deepEqual(effects, [])
  }

  for (const [what, restart] of Object.entries(ofThePair)) {
    it(`${what}: pods go on, the resource comes back, the next pods get the free devices`, async () => {
      await leavesAlone(async () => {
        const registered = nodeNames.map((name) => registeredAgain(scenario, name))
        await onEachNodeAtOnce(restart)
        await Promise.all(registered)
        await scenario.kubectl('wait', 'node', '--all', '--for=condition=Ready', '--timeout=60s')
        for (const name of nodeNames) await scenario.nodeShows(name, 2)
      })
    })
  }

  for (const [what, restart] of Object.entries(ofContainerd)) {
    it(`${what}: pods go on, and the next pods get the free devices`, async () => {
      await leavesAlone(() => onEachNodeAtOnce(restart))
    })
  }

  it('a container that ends by itself gets the same device again, after all of these restarts', async () => {
    for (const name of staying) {
      const earlier = await scenario.kubectl('logs', name)
      const pod = await scenario.observer.api.request<V1Pod>('GET', podPath('default', name))
      process.kill(processOf(pod).pid, 'SIGTERM')
      await scenario.kubectl('wait', 'pod', name, '--timeout=60s', `--for=jsonpath=${restartCount}=1`)
      await scenario.running(name)
      assert.equal(deviceIn(await scenario.kubectl('logs', name)), deviceIn(earlier))
    }
  })
})

const restartCount = '{.status.containerStatuses[0].restartCount}'

function onEachNode(name: string): object[] {
  return nodeNames.map((node) => upfPod(`${name}-${node}`, 1, { nodeSelector: { 'kubernetes.io/hostname': node } }))
}

async function registeredAgain(scenario: Scenario, nodeName: string): Promise<void> {
  const plugin = scenario.installation.devicePlugin(nodeName)
  const isIt = ({ msg, resource }: { msg: string; resource?: unknown }) =>
    msg === 'resource registered' && resource === dataplane
  await scenario.line(plugin, `the resource is registered again on ${nodeName}`, isIt)
}

/** The lines that tell a CNF its device, and the device nodes that it has. */
function deviceIn(log: string): string {
  const lines = log.split('\n').filter((line) => /^(PCIDEVICE_|c)/.test(line))
  assert.ok(lines.length >= 3, log)
  // Without the time at which the container runtime made the node.
  return lines.map((line) => line.replace(/^(c\S+).*?(\d+, +\d+).* (\S+)$/, '$1 $2 $3')).join('\n')
}
