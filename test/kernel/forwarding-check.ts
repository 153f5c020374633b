// Whether a pod forwards every frame between its two ENIs, in both directions: counted at the far ends of their cables and by testpmd.
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import { cardStatistics, type PortPackets } from '../../sim/guest/testpmd-output.ts'
import type { GuestNode } from '../../sim/cluster/node/guest-node.ts'
import type { Scenario } from '../cluster/scenario.ts'
import { eventually } from './eventually.ts'
import { firstForwarded, FrameCount, type FramesPath } from './forwarded-frames.ts'

export interface ForwardingPod {
  readonly name: string
  readonly node: GuestNode
  /** As DPDK numbers its ports: by PCI address (lib/bus/pci of DPDK). */
  readonly enis: readonly ENIAttachment[]
}

/** Of a pod of `testpmdPod` with two ENIs, into which no frame has gone yet. */
export async function forwardsEveryFrame(t: TestContext, scenario: Scenario, pod: ForwardingPod): Promise<void> {
  const [first, second] = pod.enis.map(({ status }) => {
    const to = status?.eni?.mac ?? ''
    return { wire: pod.node.cards.wire(to), to }
  })
  assert.ok(first !== undefined && second !== undefined)
  const there: FramesPath = { into: first.wire, to: first.to, outOf: second.wire }
  const back: FramesPath = { into: second.wire, to: second.to, outOf: first.wire }
  using forth = new FrameCount(there)
  using home = new FrameCount(back)
  await firstForwarded(there)
  await firstForwarded(back)
  const arrived = () => [home.total, forth.total]
  // A port takes frames in before the other one's link is up: those did not come out.
  const earlier = await talliesWith(scenario, pod.name, arrived)
  // Not as many in both directions, so that one cannot be taken for the other.
  const [sentForth, sentHome] = [12_000, 8_000]
  await Promise.all([forth.send(sentForth), home.send(sentHome)])
  t.diagnostic(`${sentForth} frames sent into port 0, ${forth.came.size} came out of port 1`)
  t.diagnostic(`${sentHome} frames sent into port 1, ${home.came.size} came out of port 0`)
  const now = await talliesWith(scenario, pod.name, arrived)
  for (const { port } of now) t.diagnostic(`testpmd: ${JSON.stringify(port)}`)
  for (const [count, sent] of [
    [forth, sentForth],
    [home, sentHome],
  ] as const) {
    assert.equal(count.came.size, sent)
    assert.ok(
      [...count.came.values()].every((times) => times === 1),
      'each came once',
    )
  }
  const since = now.map(({ port, out }, index) => {
    const before = earlier[index] ?? assert.fail()
    const { received, lost, unsent } = port
    return { out: out - before.out, received: received - before.port.received, lost, unsent }
  })
  const [ofFirst, ofSecond] = since
  // What comes out of one has come in at the other.
  assert.deepEqual(since, [
    { out: ofFirst?.out, received: ofSecond?.out, lost: 0, unsent: 0 },
    { out: ofSecond?.out, received: ofFirst?.out, lost: 0, unsent: 0 },
  ])
}

interface Tally {
  readonly port: PortPackets
  /** Frames that came at the far end of its cable: as many as it has sent. */
  readonly out: number
}

/** Once testpmd has counted, as it does each second, all that has `arrived` at the far ends, by port. */
async function talliesWith(scenario: Scenario, podName: string, arrived: () => readonly number[]): Promise<Tally[]> {
  let tallies: Tally[] = []
  await eventually('testpmd has counted all frames', async () => {
    const ports = cardStatistics(await scenario.kubectl('logs', podName, '--tail=60'))
    const came = arrived()
    tallies = ports.map((port, index) => ({ port, out: came[index] ?? Number.NaN }))
    return ports.length === came.length && tallies.every(({ port, out }) => port.sent === out)
  })
  return tallies
}
