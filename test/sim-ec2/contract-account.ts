// What a behaviour of the contract works with: an account, real or simulated, in which it makes interfaces that are all found
// again by their tag, and deleted at the end.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'

import type { CreateNetworkInterfaceCommandInput, EC2, NetworkInterface } from '@aws-sdk/client-ec2'

const tagKey = 'jit-eni-contract'
/** "A couple of seconds up to a few minutes" (EC2 developer guide, "Eventual consistency"); polled every two. */
const patienceMs = 180_000
const pollMs = 2000

export class ContractAccount {
  readonly ec2: EC2
  readonly subnetId: string
  readonly instanceId: string | undefined
  /** Different in every run, also as the beginning of client tokens. */
  readonly run = randomUUID()

  constructor(ec2: EC2, subnetId: string, instanceId: string | undefined) {
    this.ec2 = ec2
    this.subnetId = subnetId
    this.instanceId = instanceId
  }

  get mark(): { Key: string; Value: string } {
    return { Key: tagKey, Value: this.run }
  }

  async create(more: Partial<CreateNetworkInterfaceCommandInput> = {}): Promise<NetworkInterface & { id: string }> {
    const { NetworkInterface: eni } = await this.ec2.createNetworkInterface({
      SubnetId: this.subnetId,
      TagSpecifications: [{ ResourceType: 'network-interface', Tags: [this.mark] }],
      ...more,
    })
    return { ...eni, id: eni?.NetworkInterfaceId ?? assert.fail('no id') }
  }

  /** All that this run made and that EC2 shows now. */
  async made(): Promise<NetworkInterface[]> {
    const Filters = [{ Name: `tag:${tagKey}`, Values: [this.run] }]
    return (await this.ec2.describeNetworkInterfaces({ Filters })).NetworkInterfaces ?? []
  }

  /** Polls until EC2 shows the interface as told. */
  async shows(
    eniId: string,
    as: (eni: NetworkInterface | undefined) => boolean,
  ): Promise<NetworkInterface | undefined> {
    const Filters = [{ Name: 'network-interface-id', Values: [eniId] }]
    return eventually(async () => {
      const { NetworkInterfaces: [eni] = [] } = await this.ec2.describeNetworkInterfaces({ Filters })
      assert.ok(as(eni), `${eniId} is ${JSON.stringify(eni)}`)
      return eni
    })
  }

  /** Attaches at the lowest free index of card 0, as soon as EC2 knows the interface. */
  async attach(NetworkInterfaceId: string): Promise<{ AttachmentId: string; DeviceIndex: number }> {
    const { Reservations = [] } = await this.ec2.describeInstances({ InstanceIds: [this.instanceId ?? ''] })
    const taken = Reservations[0]?.Instances?.[0]?.NetworkInterfaces?.map(({ Attachment }) => Attachment?.DeviceIndex)
    let DeviceIndex = 1
    while (taken?.includes(DeviceIndex)) DeviceIndex++
    const at = { InstanceId: this.instanceId, DeviceIndex, NetworkCardIndex: 0 }
    const { AttachmentId = '' } = await eventually(() => this.ec2.attachNetworkInterface({ NetworkInterfaceId, ...at }))
    return { AttachmentId, DeviceIndex }
  }

  /** Done when EC2 shows nothing of this run three times in a row: what was made last may not be shown yet. */
  async cleanUp(): Promise<void> {
    for (let emptyLooks = 0; emptyLooks < 3; await sleep(pollMs)) {
      emptyLooks = (await this.made()).length === 0 ? emptyLooks + 1 : 0
      await this.#deleteAll()
    }
  }

  async #deleteAll(): Promise<void> {
    for (const { NetworkInterfaceId = '', Attachment } of await this.made()) {
      const { AttachmentId } = Attachment ?? {}
      if (AttachmentId !== undefined && Attachment?.Status !== 'detaching') {
        await this.ec2.detachNetworkInterface({ AttachmentId }).catch(ignoring('InvalidAttachmentID.NotFound'))
      }
      await eventually(() => this.#deleteIfThere(NetworkInterfaceId))
    }
  }

  async #deleteIfThere(NetworkInterfaceId: string): Promise<void> {
    const gone = ignoring('InvalidNetworkInterfaceID.NotFound')
    await this.ec2.deleteNetworkInterface({ NetworkInterfaceId }).catch(gone)
  }
}

function ignoring(code: string): (error: Error) => void {
  return (error) => {
    if (error.name !== code) throw error
  }
}

/** The call must be refused with this code, and with these words. */
export async function isRefused(call: Promise<unknown>, code: string, words: RegExp = /./): Promise<void> {
  await assert.rejects(call, (error: Error) => {
    assert.equal(error.name, code, error.message)
    assert.match(error.message, words)
    return true
  })
}

/** Tries again until it succeeds; at the end of the patience it fails as the last try did. */
async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  const end = Date.now() + patienceMs
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (Date.now() > end) throw error
      await sleep(pollMs)
    }
  }
}
