// What must be true of the account at every moment, and what at the end of a story when all work is done.
import type { NetworkInterface } from '../../../sim/ec2/state/network-interface.ts'
import type { ENIAttachment } from '../../../src/api/eni-attachment.ts'
import { attachmentTag, clusterTag, noManageTag } from '../../../src/api/names.ts'
import type { Scene } from '../scene.ts'

export const clusterName = 'test-cluster'

/** ENIs of ours with which others have meddled, by what they did: that is no fault of ours. */
export interface Meddling {
  readonly retagged: ReadonlySet<string>
  /** From its instance. */
  readonly taken: ReadonlySet<string>
}

const nobody: Meddling = { retagged: new Set(), taken: new Set() }

/** At every change of EC2, whatever has crashed. */
export function brokenNow(scene: Scene, meddling = nobody): string[] {
  const known = [...untagged(scene, meddling), ...unnamed(scene, meddling), ...twice(scene, meddling)]
  return [...known, ...pulled(scene, meddling), ...beyondBudget(scene, meddling)]
}

/** When the story is over, every program runs, and EC2 has settled. */
export function brokenInTheEnd(scene: Scene): string[] {
  const told = scene.attachments().flatMap((one) => misplaced(scene, one))
  return [...brokenNow(scene), ...unclaimed(scene), ...told, ...scene.foreign.harmed()]
}

/** The attacher says in the description whose work an ENI is; an ENI of others has another. */
export function ours({ ec2 }: Scene): NetworkInterface[] {
  return ec2.state.enis().filter(isNamedOurs)
}

function isNamedOurs({ description }: NetworkInterface): boolean {
  return description.startsWith('jit-eni ')
}

function untagged(scene: Scene, { retagged }: Meddling): string[] {
  return ours(scene)
    .filter(({ eniId }) => !retagged.has(eniId))
    .filter(
      ({ tags }) =>
        tags.get(clusterTag) !== clusterName || tags.get(noManageTag) !== 'true' || !tags.has(attachmentTag),
    )
    .map(({ eniId }) => `${eniId} has not all of our tags`)
}

function twice(scene: Scene, { retagged }: Meddling): string[] {
  const owners = ours(scene)
    .filter(({ eniId }) => !retagged.has(eniId))
    .map(({ tags }) => tags.get(attachmentTag))
  return owners.filter((owner, i) => owners.indexOf(owner) !== i).map((owner) => `ENIAttachment ${owner} has two ENIs`)
}

/** An ENI is detached only when no pod holds it; its instance may end all the same. */
function pulled(scene: Scene, { taken }: Meddling): string[] {
  const { state } = scene.ec2
  return scene.attachments().flatMap(({ metadata, spec, status }) => {
    const instance = state.instances().find(({ instanceId }) => instanceId === spec.instanceID)
    if (status?.device?.inUseBy === undefined || instance?.state !== 'running') return []
    const eniID = status.eni?.eniID ?? ''
    const eni = state.findEni(eniID)
    const isThere = eni?.attachment !== undefined && eni.attachment.status !== 'detaching'
    if (isThere || taken.has(eniID)) return []
    return [`${metadata.name}: its ENI was taken from under pod ${status.device.inUseBy.name}`]
  })
}

/** EC2 never ends an attach beyond the attachments that ENIs share with volumes. Who else attaches there may be to blame. */
function beyondBudget(scene: Scene, { taken, retagged }: Meddling): string[] {
  const { state } = scene.ec2
  const isOurs = (eni: NetworkInterface) => isNamedOurs(eni) && !taken.has(eni.eniId) && !retagged.has(eni.eniId)
  const stuck = ours(scene).filter((eni) => eni.attachment?.stuck === true && isOurs(eni))
  return stuck.flatMap(({ eniId, attachment }) => {
    const { instanceId, limits, ebsVolumes } = state.instance(attachment?.instanceId ?? '')
    const there = state.enisOn(instanceId)
    const isAlone = there.every((eni) => isOurs(eni) || eni.attachment?.deviceIndex === 0)
    const isOver = ebsVolumes + there.length - 1 > limits.maximumEbsAttachments
    if (limits.attachmentLimitType === 'dedicated' || !isAlone || !isOver) return []
    return [`${eniId} was attached beyond the attachments of ${instanceId}`]
  })
}

/** The object is there before the first call to EC2, and outlives the last: the collection of garbage finds nothing. */
function unnamed(scene: Scene, { retagged }: Meddling): string[] {
  const uids = new Set(scene.attachments().map(({ metadata }) => metadata.uid))
  return ours(scene)
    .filter(({ eniId, tags }) => !retagged.has(eniId) && !uids.has(tags.get(attachmentTag) ?? ''))
    .map(({ eniId }) => `${eniId} belongs to no ENIAttachment`)
}

/** An object that does not know its ENI would not release it. */
function unclaimed(scene: Scene): string[] {
  const named = new Set(scene.attachments().map(({ metadata, status }) => `${metadata.uid} ${status?.eni?.eniID}`))
  return ours(scene)
    .filter(({ eniId, tags }) => !named.has(`${tags.get(attachmentTag)} ${eniId}`))
    .map(({ eniId }) => `${eniId} is not named by its ENIAttachment`)
}

/** What an object says of its attached ENI, and what is so in EC2. */
export function misplaced({ ec2 }: Scene, { metadata, spec, status }: ENIAttachment): string[] {
  const { eni } = status ?? {}
  if (eni?.attached !== true) return []
  const { attachment: at, mac, subnetId } = ec2.state.findEni(eni.eniID ?? '') ?? {}
  if (at?.instanceId !== spec.instanceID || at.status !== 'attached')
    return [`${metadata.name} says that ${eni.eniID} is attached, and it is not`]
  const said = [eni.attachmentID, eni.networkCard, eni.deviceIndex, eni.mac, eni.subnetID]
  return differs(metadata.name, said, [at.attachmentId, at.networkCard, at.deviceIndex, mac, subnetId])
}

export function differs(what: string, said: unknown, isSo: unknown): string[] {
  const [a, b] = [JSON.stringify(said), JSON.stringify(isSo)]
  return a === b ? [] : [`${what} says ${a}, and it is ${b}`]
}
