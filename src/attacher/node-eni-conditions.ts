// What the conditions of a NodeENI say: Ready, is it usable; EC2Available, does EC2 do what is asked for it; UpToDate, are its ENIs
// as it says now; Complete, are those there that it wants ahead of pods; NodesUsable, which of its nodes cannot use its ENIs. Pure.
import { type ENIAttachment, isDeleting, isIdle } from '../api/eni-attachment.ts'
import type { NodeENI } from '../api/node-eni.ts'
import type { Condition } from '../api/object-meta.ts'
import type { Shortage } from './ahead-enis.ts'
import type { ChangeRefusal } from './change-refusals.ts'
import type { Ec2Error } from './ec2-error.ts'
import { outdatedIn } from './eni-drift.ts'
import type { Network } from './network.ts'
import type { RefusingNode } from './node-refusals.ts'

/** Objects that a message names. */
const namedMax = 5

/** What stands against a NodeENI. */
export interface Problem {
  readonly reason: string
  readonly message: string
}

export interface Findings {
  readonly nodeENI: NodeENI
  /** undefined: EC2 does not say now, and what was found before may still be so. */
  readonly network: Network | Problem | undefined
  readonly trouble: Ec2Error | undefined
  /** All of this NodeENI. */
  readonly attachments: readonly ENIAttachment[]
  /** Changes of its ENIs; undefined: not known yet. */
  readonly refused: readonly ChangeRefusal[] | undefined
  /** undefined: it wants no ENIs ahead of pods, or the network is not known. */
  readonly shortages: readonly Shortage[] | undefined
  /** Of its nodes. */
  readonly refusing: readonly RefusingNode[]
  /** RFC 3339. */
  readonly now: string
}

type State = Pick<Condition, 'type' | 'status' | 'reason' | 'message'>

export function conditionsFor(findings: Findings): Condition[] {
  const { metadata, status } = findings.nodeENI
  const states = [
    readiness(findings),
    availability(findings),
    upToDate(findings),
    complete(findings),
    nodesUsable(findings),
  ]
  return states
    .filter((state) => state !== undefined)
    .map(({ type, status: now, reason, message }) => {
      const before = status?.conditions?.find((one) => one.type === type)
      const lastTransitionTime = before?.status === now ? before.lastTransitionTime : findings.now
      const observed = metadata.generation && { observedGeneration: metadata.generation }
      return { type, status: now, reason, message, lastTransitionTime, ...observed }
    })
}

/** For an event. */
export function isNews(now: Condition, before: Condition | undefined): boolean {
  // That all is well is news only after it was not.
  if (now.status === 'Unknown' || (before?.status === 'Unknown' && now.status === 'True')) return false
  if (before === undefined) return now.type === 'Ready' || now.status === 'False'
  // How many are left or missing is none.
  if (before.reason === now.reason && ['Releasing', 'MissingENIs'].includes(now.reason)) return false
  return before.status !== now.status || before.message !== now.message
}

/** A condition's reason is one CamelCase word; EC2's codes have dots. */
export function problemFrom({ code, words }: Ec2Error): Problem {
  return { reason: code.replaceAll(/[^A-Za-z0-9]/g, ''), message: words }
}

/** It is being deleted, and so many of its ENIs are left; any of the unreadable ENIAttachments may be of it. */
export function releasing(left: number, unreadable: readonly string[]): Problem {
  const message =
    left > 0
      ? `it is being deleted: ${left} of its ENIs are left, and each goes when its pod has ended`
      : `it is being deleted: ENIs of it may be left, since these ENIAttachments cannot be read, put them right: ${unreadable.join(', ')}`
  return { reason: 'Releasing', message }
}

function readiness({ nodeENI, network, trouble }: Findings): State | undefined {
  if (network === undefined) return stillSo(nodeENI, 'Ready') ?? notReady(trouble && problemFrom(trouble))
  if ('reason' in network) return notReady(network)
  return { type: 'Ready', status: 'True', reason: 'Usable', message: 'subnets and security groups were found' }
}

function notReady(problem: Problem | undefined): State | undefined {
  return problem && { type: 'Ready', status: 'False', ...problem }
}

function availability({ trouble }: Findings): State {
  if (trouble === undefined) return { type: 'EC2Available', status: 'True', reason: 'Answers', message: 'EC2 answers' }
  return { type: 'EC2Available', status: 'False', ...problemFrom(trouble) }
}

/** Whether what exists is as the NodeENI says now; what EC2 lets be changed on it, is changed (eni-upkeep.ts). */
function upToDate(findings: Findings): State | undefined {
  const { nodeENI, network, attachments, refused: known } = findings
  const before = stillSo(nodeENI, 'UpToDate')
  if (network === undefined || (known === undefined && before?.reason === 'ChangeRefused')) return before
  const live = attachments.filter((one) => !isDeleting(one))
  const refused = changeRefused(findings, live)
  const outdated = 'reason' in network ? undefined : replacementNeeded(nodeENI, network, live)
  const problems = [refused, outdated, tooManyHeld(nodeENI, live)].filter((problem) => problem !== undefined)
  const [first] = problems
  if (first === undefined && 'reason' in network) return undefined
  if (first === undefined)
    return { type: 'UpToDate', status: 'True', reason: 'AsSpecified', message: 'all ENIs are as the NodeENI says' }
  const message = problems.map((problem) => problem.message).join('; ')
  return { type: 'UpToDate', status: 'False', reason: first.reason, message }
}

function changeRefused({ refused = [] }: Findings, live: readonly ENIAttachment[]): Problem | undefined {
  const changes = refused.flatMap(({ attribute, error, behind }) => {
    const count = live.filter(({ metadata }) => behind.has(metadata.name)).length
    return count === 0 ? [] : [`${attribute} of ${count} of ${live.length} ENIs cannot be changed: ${error.message}`]
  })
  if (changes.length === 0) return undefined
  const remedy =
    'change the NodeENI, or the rights of the attacher; it is tried again every few minutes, and at once after an edit'
  return { reason: 'ChangeRefused', message: [...changes, remedy].join('; ') }
}

function replacementNeeded(nodeENI: NodeENI, network: Network, live: readonly ENIAttachment[]): Problem | undefined {
  const outdated = live.flatMap((attachment) => {
    const fields = outdatedIn(attachment, nodeENI, network)
    return fields.length === 0 ? [] : [{ name: attachment.metadata.name, fields }]
  })
  if (outdated.length === 0) return undefined
  const fields = [...new Set(outdated.flatMap((one) => one.fields))].join(', ')
  const names = named(outdated.map(({ name }) => name))
  return {
    reason: 'ReplacementNeeded',
    message: `${outdated.length} of ${live.length} ENIs were made with another ${fields}: delete the ENIAttachments ${names}; each goes when its pod has ended, and the next is as the NodeENI says`,
  }
}

/** After an edit of `maxPerNode`: idle ones beyond it go by themselves (idle-limit.ts). */
function tooManyHeld(
  { spec: { maxPerNode = Infinity } }: NodeENI,
  live: readonly ENIAttachment[],
): Problem | undefined {
  const held = live.filter((one) => !isIdle(one) && one.status?.eni?.attached === true)
  const beyond = [...Map.groupBy(held, ({ spec }) => spec.instanceID).values()].flatMap((ofOne) =>
    ofOne.length > maxPerNode ? [`${ofOne[0]?.spec.nodeName} (${ofOne.length})`] : [],
  )
  if (beyond.length === 0) return undefined
  const message = `pods hold more than maxPerNode, ${maxPerNode}, ENIs on ${named(beyond)}: each beyond it goes when its pod has ended`
  return { reason: 'BeyondMaxPerNode', message }
}

/** The first few of them. */
function named(names: readonly string[], separator = ', '): string {
  const more = names.length > namedMax ? ` and ${names.length - namedMax} more` : ''
  return `${names.slice(0, namedMax).join(separator)}${more}`
}

/** One that is just being made is no shortage: a pod takes a warm one, a node comes, a try follows a failed one. */
function complete({ nodeENI, network, shortages }: Findings): State | undefined {
  const before = stillSo(nodeENI, 'Complete')
  if (network === undefined || 'reason' in network) return before
  if (shortages === undefined) return undefined
  const stuck = shortages.filter(({ why }) => why !== undefined).sort((a, b) => (a.nodeName < b.nodeName ? -1 : 1))
  if (stuck.length > 0) {
    const each = named(
      stuck.map(({ nodeName, missing, why }) => `${nodeName} lacks ${missing} (${why})`),
      '; ',
    )
    const message = `ENIs that are to be there ahead of pods are missing: ${each}; make room, or change nodeSelector, maxPerNode or warm: it is tried again by itself`
    return { type: 'Complete', status: 'False', reason: 'MissingENIs', message }
  }
  if (shortages.length > 0)
    return before ?? { type: 'Complete', status: 'Unknown', reason: 'BeingMade', message: 'ENIs are being made' }
  const message = 'every node has the ENIs that are to be there ahead of pods, or gets them now'
  return { type: 'Complete', status: 'True', reason: 'NoneMissing', message }
}

/** There only while a node refuses: what becomes of all others shows when a pod needs them. */
function nodesUsable({ refusing }: Findings): State | undefined {
  if (refusing.length === 0) return undefined
  const each = named(refusing.map(({ nodeName, reason }) => `${nodeName} (${reason})`))
  const message = `${refusing.length} of its nodes cannot use its ENIs: ${each}; pods go to other nodes. Events of the node and of this NodeENI say why`
  return { type: 'NodesUsable', status: 'False', reason: 'NodesRefuse', message }
}

/** What was said of another generation says nothing of this one. */
function stillSo({ metadata, status }: NodeENI, type: string): State | undefined {
  return status?.conditions?.find((one) => one.type === type && one.observedGeneration === metadata.generation)
}
