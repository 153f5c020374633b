// Device plugins and kubelets are killed at random, on either node, while ten pods come and go: no container ever runs without its
// device, no device is in two pods, nothing of others is touched, and in the end all ten run. SEED=... draws the same rounds again.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type Random, seededRandom } from '../../sim/ec2/state/duration.ts'
import type { ObservedPod } from '../../sim/installation/observer.ts'
import { podPath } from '../../src/kube/resource.ts'
import { CanaryCards, CanaryLinks } from './canaries.ts'
import { DeviceWatch } from './device-watch.ts'
import { Scenario, twoNodes } from './scenario.ts'
import { upfPod, userPlane } from './upf-manifests.ts'

const rounds = 20
const replicas = 10
/** So many at least run before the next kill, so that there is something to lose. */
const runningFirst = 5
const marker = { name: 'CHAOS', value: 'upf' }
/** A kill waits for its moment no longer than this: perhaps nothing is on its way on that node. */
const momentMs = 1_500
const downMs = 1_000

/** By log lines of the device plugin on the node where something is killed next. */
const moments = ['at once', 'card seen', 'card bound', 'device advertised', 'claim acknowledged', 'device allocated']
const victims = ['plugin', 'kubelet', 'plugin and kubelet'] as const
const places = [...twoNodes.map(({ name }) => [name]), twoNodes.map(({ name }) => name)]
const seed = Number(process.env['SEED'] || Date.now() % 1_000_000)

describe('device plugins and kubelets are killed while pods come and go', () => {
  const random = seededRandom(seed)
  const rejected = new Map<string, ObservedPod>()
  const refusals: unknown[] = []
  let scenario: Scenario
  let links: CanaryLinks
  let cards: CanaryCards
  let watch: DeviceWatch
  let foreign: unknown

  before(async () => {
    console.log(`# SEED=${seed}`)
    links = await CanaryLinks.make()
    scenario = await Scenario.start({
      nodes: twoNodes,
      ec2: {
        delays: { createMs: [50, 200], attachMs: [200, 800], deviceMs: [200, 1_000], detachMs: [100, 500] },
      },
    })
    cards = await CanaryCards.plug(scenario.installation)
    foreign = await whatIsForeign()
    scenario.observer.pods.onChange((_key, pod) => {
      // A pod that is deleted while its kubelet is down may end as Failed too.
      if (pod?.phase === 'Failed' && !pod.deleting) rejected.set(pod.uid, pod)
    })
    for (const { name } of twoNodes) {
      scenario.installation.devicePlugin(name).onLine(({ msg, reason }) => {
        if (msg === 'allocate refused') refusals.push(reason)
      })
    }
    // ENIs come and go with the pods, so that all of it is under way when something dies.
    await scenario.nodeENIReady(userPlane('user-plane', { releaseAfter: '2s' }))
    watch = new DeviceWatch(scenario.installation, `${marker.name}=${marker.value}`)
    await scenario.apply(upfDeployment())
    await allRunning()
  })
  after(async () => {
    await watch?.stop()
    await scenario?.[Symbol.asyncDispose]()
    await links?.[Symbol.asyncDispose]()
  })

  const whatIsForeign = async () => ({ links: await links.picture(), cards: cards.picture() })

  const runningPods = () => scenario.observer.allPods().filter(({ running, deleting }) => running && !deleting)

  const allRunning = () => scenario.until(`${replicas} pods Running`, () => runningPods().length === replicas)

  const scaleTo = async (count: number) => {
    const path = '/apis/apps/v1/namespaces/default/deployments/upf/scale'
    await scenario.observer.api.request('PATCH', path, { as: 'merge', body: { spec: { replicas: count } } })
  }

  const deletePods = async (count: number) => {
    for (const { namespace, name } of shuffled(runningPods(), random).slice(0, count)) {
      await scenario.observer.api.request('DELETE', podPath(namespace, name)).catch(() => undefined)
    }
  }

  const killAt = async (nodeName: string, victim: (typeof victims)[number], moment: string) => {
    const { installation } = scenario
    const plugin = installation.devicePlugin(nodeName)
    const node = installation.cluster.node(nodeName)
    if (moment !== 'at once') {
      const patience = new AbortController()
      const late = delay(momentMs, undefined, { signal: patience.signal }).catch(() => undefined)
      await Promise.race([plugin.line(({ msg }) => msg === moment), late])
      patience.abort()
    }
    const downFor = [random() * downMs, random() * downMs] as const
    const restartPlugin = async () => {
      await plugin.kill()
      await delay(downFor[0])
      plugin.start()
    }
    const restartKubelet = async () => {
      await node.killKubelet()
      await delay(downFor[1])
      await node.startKubelet()
    }
    await Promise.all([
      ...(victim === 'kubelet' ? [] : [restartPlugin()]),
      ...(victim === 'plugin' ? [] : [restartKubelet()]),
    ])
  }

  it(`${rounds} rounds, and never a pod without its device or a device in two pods`, async () => {
    let wanted = replicas
    for (let round = 1; round <= rounds; round += 1) {
      const enough = Math.min(runningFirst, wanted)
      await scenario.until(`${enough} pods Running`, () => runningPods().length >= enough)
      const victim = oneOf(victims, random)
      const nodeNames = oneOf(places, random)
      const moment = oneOf(moments, random)
      const isScaled = random() < 0.4
      wanted = isScaled ? 3 + Math.floor(random() * (replicas - 2)) : replicas
      const deleted = 1 + Math.floor(random() * 5)
      const what = `${isScaled ? `scale to ${wanted}` : `delete ${deleted}`}, kill ${victim} of ${nodeNames.join(' and ')}`
      console.log(`# round ${round}: ${what}, ${moment}; ${runningPods().length} run`)
      const killed = Promise.all(nodeNames.map((nodeName) => killAt(nodeName, victim, moment)))
      await scaleTo(wanted)
      if (!isScaled) await deletePods(deleted)
      await killed
      assert.deepEqual(watch.violations, [])
    }
  })

  it('all ten run in the end, those that a kubelet refused have been replaced, and the invariants hold', async () => {
    await scaleTo(replicas)
    await allRunning()
    const reasons = Map.groupBy(rejected.values(), ({ reason }) => reason ?? 'no reason')
    const counts = [...reasons].map(([reason, pods]) => `${pods.length} ${reason}: ${pods[0]?.message}`)
    console.log(`# ${watch.summary}`)
    console.log(
      `# ${rejected.size} pods were rejected by their kubelet and replaced${counts.map((text) => `\n#   ${text}`).join('')}`,
    )
    console.log(
      `# ${refusals.length} times a device plugin refused Allocate${refusals.map((text) => `\n#   ${String(text)}`).join('')}`,
    )
    // A pod that has failed stays in the API until somebody deletes it.
    await scenario.kubectl('delete', 'pod', '--field-selector=status.phase=Failed', '--wait=true')
    await scenario.check()
    assert.deepEqual(watch.violations, [])
    assert.ok(watch.containersSeen >= replicas + rounds, watch.summary)
  })

  it('interfaces and cards of others are as they were', async () => {
    assert.deepEqual(await whatIsForeign(), foreign)
  })

  it('with the pods everything goes', async () => {
    await scenario.clear()
    assert.deepEqual(
      scenario.installation.ec2.state.enis().map(({ eniId }) => eniId),
      scenario.installation.primaryEnis,
    )
    assert.deepEqual(await whatIsForeign(), foreign)
    assert.deepEqual(watch.violations, [])
  })
})

function upfDeployment(): object {
  const { spec } = upfPod('upf') as { spec: { containers: [object] } }
  const labels = { app: 'upf' }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'upf', namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { ...spec, containers: [{ ...spec.containers[0], env: [marker] }] } },
    },
  }
}

function oneOf<T>(items: readonly T[], random: Random): T {
  const chosen = items[Math.floor(random() * items.length)]
  if (chosen === undefined) throw new Error('nothing to choose from')
  return chosen
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, order: random() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ item }) => item)
}
