// A card that must stay where it is for as long as somebody has it: whether anything was tried against it that would wait for that one.
import assert from 'node:assert/strict'
import path from 'node:path'
import type { GuestNode } from '../../sim/cluster/node/guest-node.ts'
import type { DriverWrites } from '../../sim/guest/driver-writes.ts'
import type { ENIAttachment } from '../../src/api/eni-attachment.ts'
import type { Scenario } from '../cluster/scenario.ts'

/** What vfio-pci writes into the kernel's log when its card is to go, by an unbind or by hot-plug, and a process has it. */
const asksItsHolder = /device request|currently in use/i

export class KeptCard {
  readonly pciAddress: string
  readonly #scenario: Scenario
  readonly #node: GuestNode
  readonly #writes: DriverWrites
  readonly #mac: string
  readonly #eniId: string
  readonly #attachmentId: string
  readonly #writesBefore: number

  private constructor(
    scenario: Scenario,
    node: GuestNode,
    writes: DriverWrites,
    { status }: ENIAttachment,
    writesBefore: number,
  ) {
    this.#scenario = scenario
    this.#node = node
    this.#writes = writes
    this.pciAddress = status?.device?.pciAddress ?? ''
    this.#mac = status?.eni?.mac ?? ''
    this.#eniId = status?.eni?.eniID ?? ''
    this.#attachmentId = status?.eni?.attachmentID ?? ''
    this.#writesBefore = writesBefore
  }

  /** From now on; the card has been bound to vfio-pci. */
  static async watch(
    scenario: Scenario,
    node: GuestNode,
    writes: DriverWrites,
    attachment: ENIAttachment,
  ): Promise<KeptCard> {
    const { length } = await writes.to(attachment.status?.device?.pciAddress ?? '')
    return new KeptCard(scenario, node, writes, attachment, length)
  }

  /** Of its IOMMU group. */
  async deviceNode(): Promise<string> {
    const group = await this.#node.guest.run('readlink', [`${this.#directory}/iommu_group`])
    return `/dev/vfio/${path.basename(group.trim())}`
  }

  /** Resolves when a process has it open. */
  async opened(): Promise<void> {
    await this.#node.guest.script(`until [ "$(cat ${this.#directory}/enable)" -gt 0 ]; do sleep 0.1; done`)
  }

  /** Nobody has tried to take it, by any way. */
  async assertKept(): Promise<void> {
    assert.deepEqual(await this.#writesSince(), [], 'no write to a driver control')
    assert.equal(await this.#driver(), 'vfio-pci')
    assert.equal(this.#detaches(), 0, 'no DetachNetworkInterface')
    assert.equal(this.#scenario.installation.ec2.state.findEni(this.#eniId)?.attachment?.status, 'attached')
    assert.doesNotMatch(await this.#node.guest.run('dmesg'), asksItsHolder)
  }

  /** First given back to the kernel's driver, then detached, and nobody had it any more. */
  async assertReleased(): Promise<void> {
    const files = (await this.#writesSince()).map(({ file }) => file)
    assert.deepEqual(files.slice(0, 3), ['driver_override', 'unbind', 'drivers_probe'])
    assert.equal(this.#detaches(), 1)
    assert.equal(this.#scenario.installation.ec2.state.findEni(this.#eniId), undefined)
    const cards = await this.#node.cards.list()
    assert.equal(
      cards.find(({ mac }) => mac === this.#mac),
      undefined,
    )
    assert.doesNotMatch(await this.#node.guest.run('dmesg'), asksItsHolder)
  }

  async #writesSince() {
    return (await this.#writes.to(this.pciAddress)).slice(this.#writesBefore)
  }

  async #driver(): Promise<string> {
    return path.basename((await this.#node.guest.run('readlink', [`${this.#directory}/driver`])).trim())
  }

  #detaches(): number {
    const calls = this.#scenario.installation.ec2.calls.of('DetachNetworkInterface')
    return calls.filter(({ parameters }) => parameters['AttachmentId'] === this.#attachmentId).length
  }

  get #directory(): string {
    return `/sys/bus/pci/devices/${this.pciAddress}`
  }
}
