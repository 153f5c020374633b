// Chapters of tests that share nodes, for a virtual machine takes a minute to start and to join a cluster. What each of them leaves behind
// is looked at before the next one begins: nothing of ours, and all of others as it was.
import assert from 'node:assert/strict'
import { after, afterEach, before, describe } from 'node:test'
import type { GuestNode } from '../../sim/cluster/node/guest-node.ts'
import type { InstallationNode } from '../../sim/installation/account.ts'
import type { Scenario } from '../cluster/scenario.ts'
import { eventually } from './eventually.ts'
import { ForeignCards } from './foreign-cards.ts'
import { endGuests, noGuests, startGuests } from './guests.ts'
import { kernelWarnings } from './kernel-warnings.ts'
import { nodeTraces } from './node-traces.ts'

/** What a chapter's tests find on the stage; not before the first of them. */
interface Scenery {
  readonly scenario: Scenario
  readonly foreign: ForeignCards
  /** By guest. */
  readonly bare: ReadonlyMap<GuestNode, object>
}

export class Stage {
  #scenery: Scenery | undefined

  get scenario(): Scenario {
    return this.#found.scenario
  }

  /** Cards of others. */
  get foreign(): ForeignCards {
    return this.#found.foreign
  }

  node(name: string): GuestNode {
    return this.scenario.installation.cluster.guest(name)
  }

  async open(nodes: readonly InstallationNode[]): Promise<void> {
    const scenario = await startGuests(...nodes)
    try {
      const foreign = await ForeignCards.attach(scenario)
      const { guests } = scenario.installation.cluster
      const bare = new Map(await Promise.all(guests.map(async (node) => [node, await bareNode(node)] as const)))
      this.#scenery = { scenario, foreign, bare }
    } catch (error) {
      await endGuests(scenario)
      throw error
    }
  }

  /** Takes away what a chapter has made, and looks whether that was all. */
  async clear(): Promise<void> {
    const { scenario, foreign, bare } = this.#found
    await scenario.clear()
    const { ec2, primaryEnis } = scenario.installation
    assert.deepEqual(
      ec2.state
        .enis()
        .map(({ eniId }) => eniId)
        .toSorted(),
      [...primaryEnis, ...foreign.enis].toSorted(),
    )
    await foreign.check()
    for (const [node, atFirst] of bare) {
      // The kubelet takes a pod's sandbox away some moments after the pod.
      await eventually(`no trace on ${node.name}`, async () => {
        assert.deepEqual(await bareNode(node), atFirst)
        return true
      })
      assert.deepEqual((await kernelWarnings(node.guest)).grave, [], node.name)
    }
  }

  async close(): Promise<void> {
    if (this.#scenery !== undefined) await endGuests(this.#scenery.scenario)
  }

  get #found(): Scenery {
    return this.#scenery ?? assert.fail('the nodes of this test have not started')
  }
}

/** A resource stays registered without devices when its NodeENIs have gone. */
async function bareNode({ guest }: GuestNode): Promise<object> {
  const { 'sockets of device plugins': _, ...traces } = await nodeTraces(guest)
  return traces
}

/** One after the other, each named as its tests are reported. A chapter makes tests. */
export function onGuests(
  title: string,
  nodes: readonly InstallationNode[],
  chapters: Readonly<Record<string, (stage: Stage) => void>>,
): void {
  describe(title, { skip: noGuests }, () => {
    const stage = new Stage()
    before(() => stage.open(nodes))
    afterEach(() => stage.scenario.check())
    after(() => stage.close())
    for (const [name, chapter] of Object.entries(chapters)) {
      describe(name, () => {
        chapter(stage)
        after(() => stage.clear())
      })
    }
  })
}
