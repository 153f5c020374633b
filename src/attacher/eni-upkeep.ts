// Keeps an attached ENI as its NodeENI says, and finds out what has become of one that somebody changed by hand.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import type { NodeENI } from '../api/node-eni.ts'
import type { Log } from '../process/log.ts'
import type { Absences } from './absences.ts'
import type { ChangeRefusals, NotDone } from './change-refusals.ts'
import { consistencyMs, type Ec2Access, type Eni } from './ec2.ts'
import { Ec2Error } from './ec2-error.ts'
import { changed, changesFor, type EniChange } from './eni-drift.ts'
import type { EniSurvey } from './eni-survey.ts'
import { type EniWatch, lookOf } from './eni-watch.ts'
import type { InstanceLife } from './instance-life.ts'
import type { Network } from './network.ts'

/**
 * `missing`: EC2 does not show it, which proves nothing yet. `gone`: nor did it for a while. `detached`: it is there, on no
 * instance, or on its own anew. `moved`: it is on another instance. `ending`: whatever it is, its instance is ending.
 */
export type Fate = 'kept' | 'missing' | 'gone' | 'detached' | 'moved' | 'ending'

export interface EniUpkeepParts {
  /** A call whose signal aborts before its turn has come is not made. */
  readonly ec2: Ec2Access
  readonly watch: EniWatch
  readonly survey: EniSurvey
  readonly absences: Absences
  readonly life: InstanceLife
  readonly changeRefusals: ChangeRefusals
  readonly clusterName: string
  readonly log: Log
}

export class EniUpkeep {
  readonly #parts: EniUpkeepParts

  constructor(parts: EniUpkeepParts) {
    this.#parts = parts
  }

  /**
   * Works from the last survey: no call while nothing has changed. `networkOf` is asked only then. Answers what EC2 refuses of what
   * has changed. @throws Ec2Error to be tried again.
   */
  async keep(
    attachment: ENIAttachment,
    nodeENI: NodeENI,
    networkOf: () => Promise<Network | undefined>,
    signal: AbortSignal,
  ): Promise<Fate | NotDone> {
    const { watch, survey, absences, life } = this.#parts
    const { eniID = '', attachedTime } = attachment.status?.eni ?? {}
    // What EC2 showed before may be older than the attach.
    const isOld = (survey.startedAtMs ?? 0) < Date.parse(attachedTime ?? '') + consistencyMs
    if (survey.startedAtMs === undefined || isOld) return 'kept'
    let eni = survey.get(eniID)
    // The survey may be minutes old, and shows no ENI whose tag somebody has taken away.
    if (eni === undefined || fateOf(eni, attachment) !== 'kept')
      eni = await watch.next(eniID, lookOf(attachment, signal, 'ahead'))
    const isGone = absences.isGone(eniID, eni)
    const fate = eni === undefined ? (isGone ? 'gone' : 'missing') : fateOf(eni, attachment)
    if (eni === undefined || fate !== 'kept') return (await life.isEnding(attachment.spec)) ? 'ending' : fate
    return this.#makeAs(eni, attachment, nodeENI, await networkOf(), signal)
  }

  /** Its ENIAttachment has gone. */
  forget(attachmentName: string): void {
    this.#parts.changeRefusals.forgetAttachment(attachmentName)
  }

  /** One change that fails keeps no other from being made. */
  async #makeAs(
    eni: Eni,
    attachment: ENIAttachment,
    nodeENI: NodeENI,
    network: Network | undefined,
    signal: AbortSignal,
  ): Promise<'kept' | NotDone> {
    const { survey, changeRefusals, clusterName } = this.#parts
    const { name } = attachment.metadata
    const changes = changesFor(eni, attachment, nodeENI, network, clusterName)
    // Without the network nobody knows whether the groups differ.
    if (network !== undefined) changeRefusals.note(nodeENI, name, new Set(changes.map(({ attribute }) => attribute)))
    const refused: NotDone[] = []
    const failed: Ec2Error[] = []
    let now = eni
    for (const change of changes) {
      signal.throwIfAborted()
      try {
        const notDone = await changeRefusals.try(nodeENI, name, change.attribute, signal, () =>
          this.#change(eni, change, signal),
        )
        if (notDone !== undefined) refused.push(notDone)
        else survey.amend((now = changed(now, change)))
      } catch (error) {
        if (!(error instanceof Ec2Error)) throw error
        failed.push(error)
      }
    }
    if (failed[0] !== undefined) throw failed[0]
    return refused.length === 0 ? 'kept' : all(refused)
  }

  async #change({ id }: Eni, change: EniChange, signal: AbortSignal): Promise<void> {
    const { log } = this.#parts
    const ec2 = this.#parts.ec2('upkeep', signal)
    switch (change.attribute) {
      case 'deleteOnTermination':
        await ec2.setDeleteOnTermination(id, change.attachmentID, change.value)
        break
      case 'sourceDestCheck':
        await ec2.setSourceDestCheck(id, change.value)
        break
      case 'description':
        await ec2.setDescription(id, change.value)
        break
      case 'securityGroups':
        await ec2.setSecurityGroups(id, change.value)
        break
      case 'tags':
        await ec2.createTags(id, change.value)
        break
    }
    log.info({ eni: id, attribute: change.attribute }, 'ENI changed to what its NodeENI says')
  }
}

function all(refused: readonly NotDone[]): NotDone {
  const error = refused.find((one) => one.error !== undefined)?.error
  return { againMs: Math.min(...refused.map(({ againMs }) => againMs)), ...(error && { error }) }
}

function fateOf({ attachment }: Eni, { spec, status }: ENIAttachment): Fate {
  if (attachment === undefined || attachment.status === 'detaching') return 'detached'
  if (attachment.instanceID !== spec.instanceID) return 'moved'
  return attachment.id === status?.eni?.attachmentID ? 'kept' : 'detached'
}
