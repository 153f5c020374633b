// What the simulation and the project take for EC2's behaviour, one entry each, to be run against both.

import assert from 'node:assert/strict'

import { type ContractAccount, isRefused } from './contract-account.ts'

export interface Behaviour {
  readonly title: string
  readonly check: (account: ContractAccount) => Promise<void>
}

const unknownEni = 'eni-0ffffffffffffffff'
const unknownInstance = 'i-0ffffffffffffffff'

export const behaviours: readonly Behaviour[] = [
  {
    title: 'a create answers with id, addresses, MAC, tags and source/destination check',
    async check(account) {
      const eni = await account.create({ Description: 'contract' })
      assert.match(eni.id, /^eni-[0-9a-f]{17}$/)
      assert.match(eni.MacAddress ?? '', /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/)
      assert.equal(eni.PrivateIpAddresses?.length, 1)
      assert.deepEqual([eni.SubnetId, eni.Description, eni.SourceDestCheck], [account.subnetId, 'contract', true])
      assert.deepEqual(eni.TagSet, [account.mark])
      assert.ok(['pending', 'available'].includes(eni.Status ?? ''), eni.Status)
      await account.shows(eni.id, (shown) => shown?.Status === 'available' && shown.Attachment === undefined)
    },
  },
  {
    title: 'a repeat of a client token gives the same interface',
    async check(account) {
      const ClientToken = `${account.run}-same`.slice(-64)
      const [first, second] = [await account.create({ ClientToken }), await account.create({ ClientToken })]
      assert.equal(second.id, first.id)
    },
  },
  {
    title: 'a client token with other parameters is a mismatch',
    async check(account) {
      const ClientToken = `${account.run}-other`.slice(-64)
      await account.create({ ClientToken })
      await isRefused(account.create({ ClientToken, Description: 'other' }), 'IdempotentParameterMismatch')
    },
  },
  {
    title: 'a client token outlives its interface: it makes no second one',
    async check(account) {
      const ClientToken = `${account.run}-burnt`.slice(-64)
      const first = await account.create({ ClientToken })
      await account.shows(first.id, (eni) => eni?.Status === 'available')
      await account.ec2.deleteNetworkInterface({ NetworkInterfaceId: first.id })
      assert.equal((await account.create({ ClientToken })).id, first.id)
    },
  },
  {
    title: 'a client token has at most 64 characters',
    async check(account) {
      await isRefused(account.create({ ClientToken: 'x'.repeat(65) }), 'InvalidParameterValue')
    },
  },
  {
    title: 'a dry run makes nothing',
    async check(account) {
      const before = (await account.made()).length
      await isRefused(account.create({ DryRun: true }), 'DryRunOperation')
      assert.equal((await account.made()).length, before)
    },
  },
  {
    title: 'a subnet, a group, an instance, an attachment that is not there is NotFound',
    async check(account) {
      const { ec2 } = account
      await isRefused(account.create({ SubnetId: 'subnet-0ffffffffffffffff' }), 'InvalidSubnetID.NotFound')
      await isRefused(account.create({ Groups: ['sg-0ffffffffffffffff'] }), 'InvalidGroup.NotFound')
      await isRefused(ec2.describeInstances({ InstanceIds: [unknownInstance] }), 'InvalidInstanceID.NotFound')
      const AttachmentId = 'eni-attach-0ffffffffffffffff'
      await isRefused(ec2.detachNetworkInterface({ AttachmentId }), 'InvalidAttachmentID.NotFound')
    },
  },
  {
    title: 'an interface that is not there is NotFound for attach, modify and delete, and malformed if it is no id',
    async check({ ec2 }) {
      const NetworkInterfaceId = unknownEni
      const code = 'InvalidNetworkInterfaceID.NotFound'
      const slot = { InstanceId: unknownInstance, DeviceIndex: 1 }
      await isRefused(ec2.attachNetworkInterface({ NetworkInterfaceId, ...slot }), code)
      const change = { SourceDestCheck: { Value: false } }
      await isRefused(ec2.modifyNetworkInterfaceAttribute({ NetworkInterfaceId, ...change }), code)
      await isRefused(ec2.deleteNetworkInterface({ NetworkInterfaceId }), code, /'eni-0f+' does not exist/)
      const malformed = ec2.deleteNetworkInterface({ NetworkInterfaceId: 'eni_1' })
      await isRefused(malformed, 'InvalidNetworkInterfaceId.Malformed')
    },
  },
  {
    title: 'an unknown id fails the whole of a describe by ids, and is left out of one by filter',
    async check(account) {
      const { id } = await account.create()
      await account.shows(id, (eni) => eni !== undefined)
      const byIds = account.ec2.describeNetworkInterfaces({ NetworkInterfaceIds: [id, unknownEni] })
      await isRefused(byIds, 'InvalidNetworkInterfaceID.NotFound', /eni-0f+/)
      const Filters = [{ Name: 'network-interface-id', Values: [id, unknownEni] }]
      const { NetworkInterfaces = [] } = await account.ec2.describeNetworkInterfaces({ Filters })
      assert.deepEqual(
        NetworkInterfaces.map((eni) => eni.NetworkInterfaceId),
        [id],
      )
    },
  },
  {
    title: 'pages have at least 5 interfaces and do not go together with ids',
    async check(account) {
      const { id } = await account.create()
      await account.shows(id, (eni) => eni !== undefined)
      const both = account.ec2.describeNetworkInterfaces({ NetworkInterfaceIds: [id], MaxResults: 5 })
      await isRefused(both, 'InvalidParameterCombination')
      await isRefused(account.ec2.describeNetworkInterfaces({ MaxResults: 4 }), 'InvalidParameterValue')
    },
  },
  {
    title: 'a filter that does not exist is refused',
    async check({ ec2 }) {
      const Filters = [{ Name: 'colour', Values: ['red'] }]
      await isRefused(ec2.describeNetworkInterfaces({ Filters }), 'InvalidParameterValue', /colour/)
    },
  },
  {
    title: 'a modify changes one attribute',
    async check(account) {
      const { id: NetworkInterfaceId } = await account.create()
      await account.shows(NetworkInterfaceId, (eni) => eni?.Status === 'available')
      const modify = (change: object) => account.ec2.modifyNetworkInterfaceAttribute({ NetworkInterfaceId, ...change })
      const two = { SourceDestCheck: { Value: false }, Description: { Value: 'two' } }
      await isRefused(modify(two), 'InvalidParameterCombination')
      await modify({ SourceDestCheck: { Value: false } })
      await account.shows(NetworkInterfaceId, (eni) => eni?.SourceDestCheck === false && eni.Description !== 'two')
    },
  },
  {
    title: 'tags are replaced, and deleted by key and value',
    async check(account) {
      const { id } = await account.create()
      await account.shows(id, (eni) => eni?.Status === 'available')
      const Resources = [id]
      await account.ec2.createTags({ Resources, Tags: [{ Key: 'a', Value: '1' }] })
      await account.ec2.createTags({ Resources, Tags: [{ Key: 'a', Value: '2' }] })
      await account.ec2.deleteTags({ Resources, Tags: [{ Key: 'a', Value: '1' }] })
      await account.shows(id, (eni) => eni?.TagSet?.some(({ Key, Value }) => Key === 'a' && Value === '2') ?? false)
    },
  },
]

/** These need an instance with two free device indexes on card 0. */
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
      await account.ec2.detachNetworkInterface({ AttachmentId })
      await account.shows(id, (eni) => eni?.Status === 'available' && eni.Attachment === undefined)
    },
  },
  {
    title: 'what is attached can neither be attached again nor deleted, and its index is taken',
    async check(account) {
      const [{ id }, other] = [await account.create(), await account.create()]
      const { AttachmentId, DeviceIndex } = await account.attach(id)
      await account.shows(id, (eni) => eni?.Attachment?.Status === 'attached')
      await account.shows(other.id, (eni) => eni?.Status === 'available')
      const attach = (NetworkInterfaceId: string, index: number) => {
        const slot = { InstanceId: account.instanceId, DeviceIndex: index, NetworkCardIndex: 0 }
        return account.ec2.attachNetworkInterface({ NetworkInterfaceId, ...slot })
      }
      await isRefused(attach(id, DeviceIndex + 1), 'InvalidNetworkInterface.InUse', /in use/)
      const words = /already has an interface attached at device index/
      await isRefused(attach(other.id, DeviceIndex), 'InvalidParameterValue', words)
      const deleted = account.ec2.deleteNetworkInterface({ NetworkInterfaceId: id })
      await isRefused(deleted, 'InvalidParameterValue', /is currently in use/)
      await account.ec2.detachNetworkInterface({ AttachmentId })
      await account.shows(id, (eni) => eni?.Status === 'available')
    },
  },
  {
    title: 'the primary interface cannot be detached',
    async check({ ec2, instanceId }) {
      const Filters = [
        { Name: 'attachment.instance-id', Values: [instanceId ?? ''] },
        { Name: 'attachment.device-index', Values: ['0'] },
      ]
      const { NetworkInterfaces = [] } = await ec2.describeNetworkInterfaces({ Filters })
      const { AttachmentId } = NetworkInterfaces[0]?.Attachment ?? {}
      await isRefused(ec2.detachNetworkInterface({ AttachmentId }), 'OperationNotPermitted', /device index 0/)
    },
  },
]
