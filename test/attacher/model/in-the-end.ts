// What must be true of objects once all is well again and time has passed: every ENI belongs to one, none waits for ever, what nobody
// needs is gone. What they say of EC2 is looked at in agreement.ts, what is missing in want.ts.
import { durationMs } from '../../../src/api/duration.ts'
import { type ENIAttachment, isDeleting, isIdle, terminalFailure } from '../../../src/api/eni-attachment.ts'
import { attachPolicyOf, type NodeENI } from '../../../src/api/node-eni.ts'
import { disagreements } from './agreement.ts'
import { hasEnded, nodeOf } from './kubelet.ts'
import type { Trial } from './trial.ts'
import { type Truth, truthOf } from './truth.ts'
import { lacking, wanting } from './want.ts'

/** Longer than any step takes that still comes to an end, with all that is tried again. */
export const foreverMs = 12 * 60_000
/** What has just ended may still be under way. */
const soonMs = 3 * 60_000

/** With NodeENIs, pods and ENIs as they have become. */
export async function brokenWhenHealed(trial: Trial): Promise<string[]> {
  const broken = [...unowned(trial), ...waiting(trial), ...idleForTooLong(trial)]
  const truth = await truthOf(trial)
  return [...broken, ...disagreements(trial, truth), ...wanting(trial, truth)]
}

/** Without pods and NodeENIs. */
export function brokenWhenEmpty(trial: Trial): string[] {
  const { scene, api } = trial.lab
  const left = trial.record.present().filter(({ made }) => !isLost(trial, made.eniID))
  return [
    ...scene.attachments().map(({ metadata }) => `${metadata.name} is left`),
    ...left.map(({ made, eni }) => `${made.eniID} is left, ${eni.status}`),
    ...api
      .store('nodeenis')
      .list()
      .map(({ metadata }) => `NodeENI ${metadata.name} is left`),
  ]
}

/** Nothing waits, is under way or has failed, and what is lacking has no room: then nothing is to be done. */
export function isAtRest(trial: Trial, truth: Truth): boolean {
  const isSettled = (one: ENIAttachment) =>
    one.status?.eni?.attached === true && !isDeleting(one) && terminalFailure(one) === undefined
  const isPending = trial.pods().some((pod) => nodeOf(pod) === undefined)
  return (
    trial.lab.scene.attachments().every(isSettled) &&
    !isPending &&
    lacking(trial, truth).every(({ hasRoom }) => !hasRoom)
  )
}

/** Somebody took its tags away, and its object is gone: nobody can know any more whose it is. */
function isLost({ record, lab }: Trial, eniID: string): boolean {
  const owner = record.get(eniID)?.owner
  return record.retagged.has(eniID) && !lab.scene.attachments().some(({ metadata }) => metadata.uid === owner)
}

function unowned(trial: Trial): string[] {
  const byUID = new Map(trial.lab.scene.attachments().map((one) => [one.metadata.uid, one]))
  return trial.record.present().flatMap(({ made }) => {
    if (isLost(trial, made.eniID)) return []
    const eniID = byUID.get(made.owner)?.status?.eni?.eniID
    return eniID === made.eniID ? [] : [`${made.eniID} of ${made.name} belongs to no ENIAttachment (it names ${eniID})`]
  })
}

function waiting(trial: Trial): string[] {
  const ageMs = (time: string | undefined) => trial.lab.clock.now() - Date.parse(time ?? '')
  const isLate = (time: string | undefined) => ageMs(time) > foreverMs
  return trial.lab.scene.attachments().flatMap((attachment) => {
    const { metadata, status, spec } = attachment
    const { claim } = spec
    const what = `${metadata.name} on ${spec.nodeName} (${spec.instanceID})`
    if (claim !== undefined && !isAlive(trial, attachment))
      return [`${what} is claimed by pod ${claim.name}, which is not there`]
    const failure = terminalFailure(attachment)
    if (isDeleting(attachment))
      return isIdle(attachment) && isLate(metadata.deletionTimestamp) ? [`${what} is being released for ever`] : []
    if (failure !== undefined && isIdle(attachment))
      return isLate(failure.time) ? [`${what} has failed and is not released`] : []
    if (failure?.reason === 'ENILost' && isFree(trial, attachment))
      return [`${what} is called lost under its pod, and is there`]
    if (failure !== undefined) return []
    const isAttached = status?.eni?.attached === true
    return !isAttached && isLate(metadata.creationTimestamp) ? [`${what} waits for ever`] : []
  })
}

/** On no instance. */
function isFree({ lab }: Trial, { status }: ENIAttachment): boolean {
  const eni = lab.ec2.state.findEni(status?.eni?.eniID ?? '')
  return status?.device?.inUseBy !== undefined && eni !== undefined && eni.attachment === undefined
}

/** Unbound, or here. */
function isAlive({ lab }: Trial, { spec }: ENIAttachment): boolean {
  const { claim, nodeName } = spec
  const pod = lab.api.store('pods').get(`${claim?.namespace}/${claim?.name}`)
  if (pod === undefined || pod.metadata.uid !== claim?.uid || hasEnded(pod)) return false
  const on = nodeOf(pod)
  return on === undefined || on === nodeName
}

function idleForTooLong(trial: Trial): string[] {
  const { scene, clock } = trial.lab
  return nodeENIsOf(trial).flatMap(({ metadata, spec }) => {
    if (attachPolicyOf(spec) === 'Eager') return []
    const mostMs = durationMs(spec.releaseAfter) + soonMs
    const idle = scene
      .attachments()
      .filter((one) => one.spec.nodeENI === metadata.name && isIdle(one))
      .filter((one) => !isDeleting(one) && terminalFailure(one) === undefined)
      .filter(({ status }) => !(clock.now() - Date.parse(status?.eni?.idleSince ?? '') < mostMs))
    return [...Map.groupBy(idle, (one) => one.spec.instanceID)].flatMap(([instanceID, on]) => {
      const names = on.map((one) => one.metadata.name).join(', ')
      return on.length <= spec.warm ? [] : [`${names} are idle on ${instanceID} for too long, and ${spec.warm} may be`]
    })
  })
}

export function nodeENIsOf({ lab }: Trial): NodeENI[] {
  return lab.api.store('nodeenis').list() as unknown as NodeENI[]
}
