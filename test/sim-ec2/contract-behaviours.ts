// What the simulation and the project take for EC2's behaviour, one entry each, to be run against both.

import assert from 'node:assert/strict'

import type { NetworkInterface } from '@aws-sdk/client-ec2'

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
      const first = await account.createAvailable({ ClientToken })
      await account.ec2.deleteNetworkInterface({ NetworkInterfaceId: first })
      assert.equal((await account.create({ ClientToken })).id, first)
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
      const dry = { Key: 'dry-run', Value: account.run }
      await isRefused(account.create({ ...account.tagged(dry), DryRun: true }), 'DryRunOperation')
      const { id } = await account.create()
      await account.shows(id, (eni) => eni !== undefined)
      const Filters = [{ Name: `tag:${dry.Key}`, Values: [dry.Value] }]
      assert.deepEqual((await account.ec2.describeNetworkInterfaces({ Filters })).NetworkInterfaces, [])
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
      const attached = { NetworkInterfaceId: await account.createAvailable(), InstanceId: unknownInstance }
      const slot = { DeviceIndex: 1, NetworkCardIndex: 0 }
      await isRefused(ec2.attachNetworkInterface({ ...attached, ...slot }), 'InvalidInstanceID.NotFound')
    },
  },
  {
    title: 'an interface that is not there is NotFound for modify and delete, and malformed if it is no id',
    async check({ ec2 }) {
      const NetworkInterfaceId = unknownEni
      const code = 'InvalidNetworkInterfaceID.NotFound'
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
    title: 'pages have at least 5 interfaces and do not go together with their ids, but with those of subnets',
    async check(account) {
      const { id } = await account.create()
      await account.shows(id, (eni) => eni !== undefined)
      const both = account.ec2.describeNetworkInterfaces({ NetworkInterfaceIds: [id], MaxResults: 5 })
      await isRefused(both, 'InvalidParameterCombination')
      await isRefused(account.ec2.describeNetworkInterfaces({ MaxResults: 4 }), 'InvalidParameterValue')
      await account.ec2.describeSubnets({ SubnetIds: [account.subnetId], MaxResults: 5 })
    },
  },
  {
    title: 'pages give every interface once',
    async check(account) {
      const Description = `pages ${account.run}`
      const made: string[] = []
      for (let count = 0; count < 6; count++) made.push((await account.create({ Description })).id)
      for (const id of made) await account.shows(id, (eni) => eni !== undefined)
      const Filters = [{ Name: 'description', Values: [Description] }]
      const found: (string | undefined)[] = []
      let NextToken: string | undefined
      do {
        const page = await account.ec2.describeNetworkInterfaces({ Filters, MaxResults: 5, NextToken })
        const { NetworkInterfaces = [] } = page
        assert.ok(NetworkInterfaces.length <= 5)
        found.push(...NetworkInterfaces.map((eni) => eni.NetworkInterfaceId))
        NextToken = page.NextToken
      } while (NextToken !== undefined)
      assert.deepEqual(found.toSorted(), made.toSorted())
    },
  },
  {
    title: 'an interface is found by each of its properties',
    async check(account) {
      const { id } = await account.create({ Description: `found ${account.run}`, SecondaryPrivateIpAddressCount: 1 })
      const eni = await account.shows(id, (shown) => shown?.Status === 'available')
      const properties: Record<string, string | undefined> = {
        'availability-zone': eni?.AvailabilityZone,
        'availability-zone-id': eni?.AvailabilityZoneId,
        description: eni?.Description,
        'group-id': eni?.Groups?.[0]?.GroupId,
        'interface-type': eni?.InterfaceType,
        'mac-address': eni?.MacAddress,
        'owner-id': eni?.OwnerId,
        'private-ip-address': eni?.PrivateIpAddresses?.[1]?.PrivateIpAddress,
        'addresses.private-ip-address': eni?.PrivateIpAddresses?.[1]?.PrivateIpAddress,
        'requester-managed': 'false',
        'source-dest-check': 'true',
        status: 'available',
        'subnet-id': eni?.SubnetId,
        'tag-key': account.mark.Key,
        'vpc-id': eni?.VpcId,
      }
      const byId = { Name: 'network-interface-id', Values: [id] }
      for (const [Name, value = 'missing'] of Object.entries(properties)) {
        const Filters = [byId, { Name, Values: [value] }]
        await account.eventually(async () => {
          const { NetworkInterfaces } = await account.ec2.describeNetworkInterfaces({ Filters })
          assert.equal(NetworkInterfaces?.length, 1, `${Name}: ${value}`)
        })
      }
    },
  },
  {
    title: 'a filter that does not exist is refused, and so are more than 50',
    async check({ ec2 }) {
      const Filters = [{ Name: 'colour', Values: ['red'] }]
      await isRefused(ec2.describeNetworkInterfaces({ Filters }), 'InvalidParameterValue', /colour/)
      const tooMany = Array.from({ length: 51 }, (_, at) => ({ Name: `tag:${at}`, Values: ['*'] }))
      await isRefused(ec2.describeNetworkInterfaces({ Filters: tooMany }), 'FilterLimitExceeded')
    },
  },
  {
    title: 'an address that is taken is not counted as available',
    async check(account) {
      const available = async () => {
        const { Subnets } = await account.ec2.describeSubnets({ SubnetIds: [account.subnetId] })
        return Subnets?.[0]?.AvailableIpAddressCount ?? assert.fail('no count')
      }
      const before = await available()
      const { id } = await account.create({ SecondaryPrivateIpAddressCount: 2 })
      await account.shows(id, (eni) => eni?.Status === 'available')
      await account.eventually(async () => assert.equal(await available(), before - 3))
    },
  },
  {
    title: 'a resource has at most 50 tags, none of aws:',
    async check(account) {
      const tags = Array.from({ length: 50 }, (_, at) => ({ Key: `tag-${at}`, Value: '' }))
      await isRefused(account.create(account.tagged(...tags)), 'TagLimitExceeded')
      await isRefused(account.create(account.tagged({ Key: 'aws:a', Value: '' })), 'InvalidParameterValue')
    },
  },
  {
    title: 'a modify changes one attribute',
    async check(account) {
      const NetworkInterfaceId = await account.createAvailable()
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
      const Resources = [await account.createAvailable()]
      await account.ec2.createTags({ Resources, Tags: [{ Key: 'a', Value: '1' }] })
      await account.ec2.createTags({ Resources, Tags: [{ Key: 'a', Value: '2' }] })
      await account.ec2.deleteTags({ Resources, Tags: [{ Key: 'a', Value: '1' }] })
      const has = ({ TagSet = [] }: NetworkInterface, value: string) =>
        TagSet.some(({ Key, Value }) => Key === 'a' && Value === value)
      await account.shows(Resources[0] ?? '', (eni) => eni !== undefined && has(eni, '2'))
      await account.ec2.deleteTags({ Resources, Tags: [{ Key: 'a', Value: '2' }] })
      await account.shows(Resources[0] ?? '', (eni) => eni?.TagSet?.every(({ Key }) => Key !== 'a') ?? false)
    },
  },
]
