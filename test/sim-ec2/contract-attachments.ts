// What the simulation and the project take for EC2's behaviour when interfaces are attached. Needs an instance with two free device
// indexes on card 0, and a subnet in another zone of its VPC.

import assert from 'node:assert/strict'

import { type ContractAccount, type Slot, isRefused } from './contract-account.ts'
import type { Behaviour } from './contract-behaviours.ts'

/** An interface that is available, and where it could go. */
async function availableFor(
  account: ContractAccount,
  SubnetId = account.subnetId,
): Promise<{ id: string; slot: Slot }> {
  return { id: await account.createAvailable({ SubnetId }), slot: await account.freeSlot() }
}

export const attachmentBehaviours: readonly Behaviour[] = [
  {
    title: 'an attach ends attached, with DeleteOnTermination false, which a modify sets and a detach loses',
    async check(account) {
      const { id } = await account.create()
      const { AttachmentId, DeviceIndex } = await account.attach(id)
      const attached = await account.shows(id, (eni) => eni?.Attachment?.Status === 'attached')
      const { Attachment } = attached ?? {}
      assert.deepEqual(
        [attached?.Status, Attachment?.AttachmentId, Attachment?.DeviceIndex, Attachment?.NetworkCardIndex],
        ['in-use', AttachmentId, DeviceIndex, 0],
      )
      assert.equal(Attachment?.DeleteOnTermination, false)

      const change = { Attachment: { AttachmentId, DeleteOnTermination: true } }
      await account.ec2.modifyNetworkInterfaceAttribute({ NetworkInterfaceId: id, ...change })
      await account.shows(id, (eni) => eni?.Attachment?.DeleteOnTermination === true)
      await account.detach(AttachmentId, id)
      const again = await account.attach(id)
      const eni = await account.shows(id, (shown) => shown?.Attachment?.AttachmentId === again.AttachmentId)
      assert.equal(eni?.Attachment?.DeleteOnTermination, false)
      await account.detach(again.AttachmentId, id)
    },
  },
  {
    title: 'an interface may be attached while it is pending',
    async check(account) {
      const { id, Status } = await account.create()
      assert.equal(Status, 'pending')
      const { AttachmentId } = await account.attach(id)
      await account.shows(id, (eni) => eni?.Attachment?.Status === 'attached')
      await account.detach(AttachmentId, id)
    },
  },
  {
    title: 'what is attached can neither be attached again nor deleted, and its index is taken',
    async check(account) {
      const [{ id }, other] = [await account.create(), await account.createAvailable()]
      const { AttachmentId, ...slot } = await account.attach(id)
      await account.shows(id, (eni) => eni?.Attachment?.Status === 'attached')
      const attach = (NetworkInterfaceId: string, DeviceIndex: number) =>
        account.ec2.attachNetworkInterface({ NetworkInterfaceId, ...slot, DeviceIndex })
      await isRefused(attach(id, slot.DeviceIndex + 1), 'InvalidNetworkInterface.InUse', /in use/)
      const words = /already has an interface attached at device index/
      await isRefused(attach(other, slot.DeviceIndex), 'InvalidParameterValue', words)
      const deleted = account.ec2.deleteNetworkInterface({ NetworkInterfaceId: id })
      await isRefused(deleted, 'InvalidParameterValue', /is currently in use/)
      await account.detach(AttachmentId, id)
    },
  },
  {
    title: 'index 0 is taken by the primary interface, and index 50 does not exist',
    async check(account) {
      const { id: NetworkInterfaceId, slot } = await availableFor(account)
      const attach = (DeviceIndex: number) =>
        account.ec2.attachNetworkInterface({ NetworkInterfaceId, ...slot, DeviceIndex })
      await isRefused(attach(0), 'InvalidParameterValue', /already has an interface attached at device index/)
      await isRefused(attach(50), 'InvalidParameterValue')
    },
  },
  {
    title: 'what is detaching cannot be detached again',
    async check(account) {
      const { id } = await account.create()
      const { AttachmentId } = await account.attach(id)
      await account.shows(id, (eni) => eni?.Attachment?.Status === 'attached')
      const [first, second] = [1, 2].map(() => account.ec2.detachNetworkInterface({ AttachmentId }))
      await Promise.all([first, isRefused(second ?? assert.fail(), 'IncorrectState')])
      await account.shows(id, (eni) => eni?.Status === 'available')
    },
  },
  {
    title: 'an interface of another zone is not attached',
    async check(account) {
      const { VpcId = '', Placement } = await account.instance()
      const { Subnets = [] } = await account.ec2.describeSubnets({ Filters: [{ Name: 'vpc-id', Values: [VpcId] }] })
      const elsewhere = Subnets.find(({ AvailabilityZone }) => AvailabilityZone !== Placement?.AvailabilityZone)
      const { id, slot } = await availableFor(account, elsewhere?.SubnetId ?? assert.fail('the VPC has no other zone'))
      const attached = account.ec2.attachNetworkInterface({ NetworkInterfaceId: id, ...slot })
      await isRefused(attached, 'InvalidParameterCombination', /same availability zone/i)
    },
  },
  {
    title: 'an interface is found by each property of its attachment',
    async check(account) {
      const { id } = await account.create()
      const { AttachmentId, InstanceId, DeviceIndex } = await account.attach(id)
      await account.shows(id, (eni) => eni?.Attachment?.Status === 'attached')
      const properties: Record<string, string | undefined> = {
        'attachment.attachment-id': AttachmentId,
        'attachment.instance-id': InstanceId,
        'attachment.status': 'attached',
        'attachment.device-index': String(DeviceIndex),
        'attachment.network-card-index': '0',
        'attachment.delete-on-termination': 'false',
      }
      const byId = { Name: 'network-interface-id', Values: [id] }
      for (const [Name, value = 'missing'] of Object.entries(properties)) {
        const Filters = [byId, { Name, Values: [value] }]
        await account.eventually(async () => {
          const { NetworkInterfaces } = await account.ec2.describeNetworkInterfaces({ Filters })
          assert.equal(NetworkInterfaces?.length, 1, `${Name}: ${value}`)
        })
      }
      await account.detach(AttachmentId, id)
    },
  },
  {
    title: 'the primary interface cannot be detached',
    async check(account) {
      const { NetworkInterfaces = [] } = await account.instance()
      // Index 0 of another card is no primary interface, and would be detached.
      const primary = NetworkInterfaces.find(
        ({ Attachment }) => Attachment?.DeviceIndex === 0 && Attachment.NetworkCardIndex === 0,
      )
      const { AttachmentId = assert.fail('no primary interface') } = primary?.Attachment ?? {}
      await isRefused(account.ec2.detachNetworkInterface({ AttachmentId }), 'OperationNotPermitted', /device index 0/)
    },
  },
  {
    title: 'an interface that is not there is NotFound for an attach',
    async check(account) {
      const slot = await account.freeSlot()
      const attached = account.ec2.attachNetworkInterface({ NetworkInterfaceId: 'eni-0ffffffffffffffff', ...slot })
      await isRefused(attached, 'InvalidNetworkInterfaceID.NotFound')
    },
  },
  {
    title: 'pages do not go together with the ids of instances',
    async check({ ec2, instanceId = '' }) {
      const both = ec2.describeInstances({ InstanceIds: [instanceId], MaxResults: 5 })
      await isRefused(both, 'InvalidParameterCombination')
    },
  },
]
