// Many pods, each with an ENI of its own at the same slot: none leaves a trace, and how long each step of their lives takes.
import assert from 'node:assert/strict'
import { before, it } from 'node:test'
import type { GuestNode } from '../../../sim/cluster/node/guest-node.ts'
import { userPlane } from '../../cluster/upf-manifests.ts'
import { CardHistory } from '../card-history.ts'
import { type ENIRound, eniRound } from '../eni-round.ts'
import { kernelWarnings } from '../kernel-warnings.ts'
import { type NodeTraces, nodeTraces } from '../node-traces.ts'
import { type PluginProcess, pluginProcess } from '../plugin-process.ts'
import { roundsTable } from '../rounds-table.ts'
import type { Stage } from '../stage.ts'

const nodeName = 'node-a'
const nodeENI = 'user-plane'
const roundsAtOneSlot = 20
const lookEvery = 5
/** What the device plugin's process may have more at the end: one file in each second round would be as much. */
const moreFiles = roundsAtOneSlot / 2
const moreResidentMiB = 24

export function rounds(stage: Stage): void {
  const done: ENIRound[] = []
  const processes: PluginProcess[] = []

  let node: GuestNode
  let history: CardHistory
  let untouched: NodeTraces
  before(async () => {
    const { scenario } = stage
    node = stage.node(nodeName)
    history = await CardHistory.start(node.guest)
    await scenario.nodeENIReady(userPlane(nodeENI, { releaseAfter: '0s' }))
    await scenario.nodeShows(nodeName, 0)
    untouched = await nodeTraces(node.guest)
  })

  const round = async (number: number) => {
    done.push(await eniRound(stage.scenario, { node, history, podName: `round-${number}`, nodeENI }))
    if (number !== 1 && number % lookEvery !== 0) return
    assert.deepEqual(await nodeTraces(node.guest), untouched, `after round ${number}`)
    processes.push(await pluginProcess(node.guest))
  }

  it('each of them runs and leaves no trace on the node', async () => {
    for (let number = 1; number <= roundsAtOneSlot; number++) await round(number)
  })

  it('each card came, went to vfio-pci, back to its kernel driver and away, always at the same slot', () => {
    for (const { history: events } of done) {
      assert.deepEqual(
        events.map(({ action, driver }) => [action, driver].join(' ').trim()),
        ['add', 'bind e1000e', 'unbind', 'bind vfio-pci', 'unbind', 'bind e1000e', 'unbind', 'remove'],
      )
    }
    assert.equal(new Set(done.map(({ pciAddress }) => pciAddress)).size, 1)
  })

  it('prints how long each step took', (t) => {
    for (const line of roundsTable(done)) t.diagnostic(line)
    for (const { attach, clockErrorMs } of done) {
      for (const [step, ms] of Object.entries(attach)) assert.ok(ms >= -clockErrorMs, `${step}: ${ms} ms`)
    }
  })

  it('the device plugin is the same process, with no more files, children and memory', (t) => {
    for (const process of processes) t.diagnostic(JSON.stringify(process))
    const [first, last] = [processes[0], processes.at(-1)]
    assert.ok(first !== undefined && last !== undefined)
    assert.equal(new Set(processes.map(({ pid }) => pid)).size, 1)
    assert.equal(last.children, first.children)
    assert.ok(last.files - first.files < moreFiles, `${last.files} files after ${first.files}`)
    assert.ok(
      last.residentMiB - first.residentMiB < moreResidentMiB,
      `${last.residentMiB} MiB after ${first.residentMiB}`,
    )
  })

  it('the kernel has found nothing wrong', async (t) => {
    const { all, grave } = await kernelWarnings(node.guest)
    for (const line of all) t.diagnostic(line)
    assert.deepEqual(grave, [])
  })
}
