// What was measured, as tables for the reader and as the keys of bench/results/ec2.json, and which goals are missed.
import type { BurstResult } from './burst.ts'
import type { HundredNodesResult } from './hundred-nodes.ts'
import type { Tally } from './tally.ts'

/** The goals. */
const overLimitMax = 0.05
const idleCallsMax = 60
const hundredNodesMax = 3

export function keysOf(bursts: readonly BurstResult[], hundredNodes: HundredNodesResult) {
  const inOrder = bursts.toSorted((a, b) => a.pods - b.pods)
  const plain = inOrder.filter(({ sourceDestCheck }) => sourceDestCheck)
  const forwarding = inOrder.filter(({ sourceDestCheck }) => !sourceDestCheck)
  return {
    burst: plain.map(burstKeys),
    burst_without_source_dest_check: forwarding.map(burstKeys),
    reuse: plain.map(({ pods, reuse }) => ({ pods, seconds: rounded(reuse.seconds), changes: reuse.calls.changes })),
    idle_calls_per_hour: idleHourOf(bursts).all,
    hundred_nodes_seconds: rounded(hundredNodes.attachedSeconds),
  }
}

function burstKeys({ pods, seconds, limit }: BurstResult) {
  return { pods, seconds: rounded(seconds), limit_seconds: rounded(limit) }
}

const columns: Readonly<Record<string, (one: BurstResult) => string>> = {
  'pods at once': (one) => nameOf(one),
  'bound s': ({ seconds }) => seconds.toFixed(2),
  'limit s': ({ limit }) => limit.toFixed(2),
  ratio: ({ seconds, limit }) => (seconds / limit).toFixed(3),
  'settled s': ({ attachedSeconds }) => attachedSeconds.toFixed(2),
  create: ({ calls }) => callsOf(calls, 'CreateNetworkInterface'),
  attach: ({ calls }) => callsOf(calls, 'AttachNetworkInterface'),
  modify: ({ calls }) => callsOf(calls, 'ModifyNetworkInterfaceAttribute'),
  describe: ({ calls }) => String(calls.describes),
  'a minute': ({ calls, attachedSeconds }) => ((calls.describes / attachedSeconds) * 60).toFixed(0),
  throttled: ({ calls }) => String(calls.throttled),
  'reuse s': ({ reuse }) => reuse.seconds.toFixed(2),
  changes: ({ reuse }) => String(reuse.calls.changes),
}

export function report(bursts: readonly BurstResult[], hundredNodes: HundredNodesResult): string {
  const rows = bursts.toSorted((a, b) => a.pods - b.pods).map((one) => Object.values(columns).map((cell) => cell(one)))
  const { boundSeconds, attachedSeconds, calls } = hundredNodes
  const idle = idleHourOf(bursts)
  return [
    table([Object.keys(columns), ...rows]),
    '',
    `an hour with 1000 ENIs at rest: ${idle.all} EC2 calls, ${idle.changes} of them changes (${inWords(idle)})`,
    `100 nodes, quotas raised: bound after ${boundSeconds.toFixed(2)} s, settled after ${attachedSeconds.toFixed(2)} s (${inWords(calls)})`,
  ].join('\n')
}

/** One line each. What of the invariants is broken is worse, and stands here too. */
export function missedGoals(bursts: readonly BurstResult[], hundredNodes: HundredNodesResult): string[] {
  const idle = idleHourOf(bursts)
  const { attachedSeconds, violations } = hundredNodes
  const isBusyAtRest = idle.changes > 0 || idle.all > idleCallsMax
  return [
    ...bursts.flatMap((burst) => missedBy(burst).map((what) => `${nameOf(burst)} pods: ${what}`)),
    ...(isBusyAtRest ? [`an hour at rest took ${inWords(idle)}`] : []),
    ...(attachedSeconds >= hundredNodesMax ? [`100 nodes took ${attachedSeconds} s`] : []),
    ...violations.map((what) => `100 nodes: ${what}`),
  ]
}

function missedBy({ seconds, limit, reuse, violations }: BurstResult): string[] {
  const isLate = seconds > limit * (1 + overLimitMax)
  return [
    ...(isLate ? [`${seconds} s, more than 5 % above the limit of ${limit} s`] : []),
    ...(reuse.calls.changes > 0 ? [`reuse took ${inWords(reuse.calls)}`] : []),
    ...violations,
  ]
}

function nameOf({ pods, sourceDestCheck }: BurstResult): string {
  return sourceDestCheck ? `${pods}` : `sourceDestCheck: false, ${pods}`
}

function callsOf({ byAction }: Tally, action: string): string {
  return String(byAction[action] ?? 0)
}

function idleHourOf(bursts: readonly BurstResult[]): Tally {
  const measured = bursts.find(({ idleHour }) => idleHour !== undefined)?.idleHour
  if (measured === undefined) throw new Error('no hour at rest was measured')
  return measured
}

function inWords({ byAction }: Tally): string {
  return Object.entries(byAction)
    .map(([action, count]) => `${count} ${action}`)
    .join(', ')
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => row.map((cell, column) => cell.padStart(widths[column] ?? 0)).join('  ')).join('\n')
}

function rounded(seconds: number): number {
  return Math.round(seconds * 1000) / 1000
}
