// The model: every ENI that was ever made for us, for what, and what others have done to it. Plain data, kept beside EC2.
import type { Ec2State } from '../../../sim/ec2/state/ec2-state.ts'
import type { NetworkInterface } from '../../../sim/ec2/state/network-interface.ts'
import type { ENIAttachment } from '../../../src/api/eni-attachment.ts'
import { attachmentTag } from '../../../src/api/names.ts'
import type { Scene } from '../scene.ts'
import { type Meddling, ours } from '../lab/invariants.ts'

export interface MadeEni {
  readonly eniID: string
  /** UID of the ENIAttachment in its tag. */
  readonly owner: string
  readonly name: string
  readonly nodeENI: string
  readonly instanceID: string
}

export class EniRecord implements Meddling {
  readonly #scene: Scene
  readonly #enis = new Map<string, MadeEni>()
  readonly #attachments = new Map<string, { readonly eniID: string; readonly instanceID: string }>()
  readonly #owners = new Map<string, ENIAttachment>()
  /** ENIs that somebody took from their instance, or may have taken since VPC CNI could see them. */
  readonly taken = new Set<string>()
  /** ENIs that have lost tags. */
  readonly retagged = new Set<string>()
  /** Made although nobody wanted one. */
  readonly unwanted: string[] = []

  constructor(scene: Scene) {
    this.#scene = scene
    const { api, ec2 } = scene
    api.store('eniattachments').onChange(({ type, object }) => {
      if (type === 'ADDED') this.#owners.set(object.metadata.uid, object as unknown as ENIAttachment)
    })
    ec2.state.watch(() => this.#look(ec2.state))
    this.#look(ec2.state)
  }

  get(eniID: string): MadeEni | undefined {
    return this.#enis.get(eniID)
  }

  /** Those that exist. */
  present(): { readonly made: MadeEni; readonly eni: NetworkInterface }[] {
    return [...this.#enis.values()].flatMap((made) => {
      const eni = this.#scene.ec2.state.findEni(made.eniID)
      return eni === undefined ? [] : [{ made, eni }]
    })
  }

  /** Of which ENI it is, and to which instance; also after it is gone. */
  attachment(attachmentID: string): { readonly eniID: string; readonly instanceID: string } | undefined {
    return this.#attachments.get(attachmentID)
  }

  isMeddledWith(eniID: string): boolean {
    return this.taken.has(eniID) || this.retagged.has(eniID)
  }

  #look(state: Ec2State): void {
    for (const eni of state.enis()) {
      if (eni.attachment !== undefined) {
        const { attachmentId, instanceId } = eni.attachment
        this.#attachments.set(attachmentId, { eniID: eni.eniId, instanceID: instanceId })
      }
    }
    for (const eni of ours(this.#scene)) if (!this.#enis.has(eni.eniId)) this.#add(eni)
  }

  #add({ eniId: eniID, tags }: NetworkInterface): void {
    const owner = tags.get(attachmentTag) ?? ''
    const attachment = this.#owners.get(owner)
    if (attachment === undefined) this.unwanted.push(`${eniID} was made for ENIAttachment ${owner}, which never was`)
    const { nodeENI = '', instanceID = '' } = attachment?.spec ?? {}
    this.#enis.set(eniID, { eniID, owner, name: attachment?.metadata.name ?? '', nodeENI, instanceID })
  }
}
