// Keeps an attached ENI as its NodeENI says, and finds out what has become of one that somebody changed by hand.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import type { NodeENI } from '../api/node-eni.ts'
import type { Log } from '../process/log.ts'
import type { Absences } from './absences.ts'
import { consistencyMs, type Ec2, type Eni } from './ec2.ts'
import { changed, changesFor, type EniChange } from './eni-drift.ts'
import type { EniSurvey } from './eni-survey.ts'
import type { Network } from './network.ts'

/**
 * `missing`: EC2 does not show it, which proves nothing yet. `gone`: nor did it for a while. `detached`: it is there, on no
 * instance, or on its own anew. `moved`: it is on another instance.
 */
export type Fate = 'kept' | 'missing' | 'gone' | 'detached' | 'moved'

export interface EniUpkeepParts {
  readonly ec2: Ec2
  readonly survey: EniSurvey
  readonly absences: Absences
  readonly clusterName: string
  readonly log: Log
}

export class EniUpkeep {
  readonly #parts: EniUpkeepParts

  constructor(parts: EniUpkeepParts) {
    this.#parts = parts
  }

  /**
   * Works from the last survey: no call while nothing has changed. `networkOf` is asked only then. @throws Ec2Error to be tried
   * again.
   */
  async keep(
    attachment: ENIAttachment,
    nodeENI: NodeENI,
    networkOf: () => Promise<Network | undefined>,
    signal: AbortSignal,
  ): Promise<Fate> {
    const { ec2, survey, absences, clusterName } = this.#parts
    const { eniID = '', attachedTime } = attachment.status?.eni ?? {}
    // What EC2 showed before may be older than the attach.
    const isOld = (survey.startedAtMs ?? 0) < Date.parse(attachedTime ?? '') + consistencyMs
    if (survey.startedAtMs === undefined || isOld) return 'kept'
    let eni = survey.get(eniID)
    // The survey may be minutes old, and shows no ENI whose tag somebody has taken away.
    if (eni === undefined || fateOf(eni, attachment) !== 'kept') [eni] = await ec2.describeEnis([eniID])
    const isGone = absences.isGone(eniID, eni)
    if (eni === undefined) return isGone ? 'gone' : 'missing'
    const fate = fateOf(eni, attachment)
    if (fate !== 'kept') return fate
    for (const change of changesFor(eni, attachment, nodeENI, await networkOf(), clusterName)) {
      signal.throwIfAborted()
      await this.#change(eni, change)
      eni = changed(eni, change)
      survey.amend(eni)
    }
    return 'kept'
  }

  async #change({ id }: Eni, change: EniChange): Promise<void> {
    const { ec2, log } = this.#parts
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

function fateOf({ attachment }: Eni, { spec, status }: ENIAttachment): Fate {
  if (attachment === undefined || attachment.status === 'detaching') return 'detached'
  if (attachment.instanceID !== spec.instanceID) return 'moved'
  return attachment.id === status?.eni?.attachmentID ? 'kept' : 'detached'
}
