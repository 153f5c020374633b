// What each call of EC2 asks of IAM: which actions on which resources, and what it says of them.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { accessChecks } from '../../sim/ec2/iam/access-checks.ts'
import { newEc2 } from '../../sim/ec2/new-ec2.ts'
import { actions } from '../../sim/ec2/wire/actions.ts'
import { Parameter } from '../../sim/ec2/wire/parameter.ts'

import { smallWorld } from './small-world.ts'

const arn = (resource: string) => `arn:aws:ec2:eu-north-1:123456789012:${resource}`
const createIn = { SubnetId: 'subnet-a' }
const state = () => newEc2({ world: smallWorld }).state
const asked = (action: string, form: Record<string, string>, of = state()) =>
  accessChecks(of, action, Parameter.parse(new URLSearchParams(form)))
const questions = (action: string, form: Record<string, string>, of = state()) =>
  asked(action, form, of).map((check) => `${check.action} ${check.resource}`)
const attachmentOf = (eniId: string, of: ReturnType<typeof state>) => of.eni(eniId).attachment?.attachmentId ?? ''

test('a create: interface, subnet and groups, and the tags where there are some', () => {
  const groups = { 'SecurityGroupId.1': 'sg-0123456789abcdef0', 'SecurityGroupId.2': 'sg-fedcba9876543210f' }
  const tags = {
    'TagSpecification.1.ResourceType': 'network-interface',
    'TagSpecification.1.Tag.1.Key': 'a',
    'TagSpecification.1.Tag.1.Value': 'b',
  }
  const made = [
    `ec2:CreateNetworkInterface ${arn('network-interface/*')}`,
    `ec2:CreateNetworkInterface ${arn('subnet/subnet-a')}`,
    `ec2:CreateNetworkInterface ${arn('security-group/sg-0123456789abcdef0')}`,
    `ec2:CreateNetworkInterface ${arn('security-group/sg-fedcba9876543210f')}`,
  ]
  assert.deepEqual(questions('CreateNetworkInterface', { ...createIn, ...groups }), made)
  assert.deepEqual(questions('CreateNetworkInterface', { ...createIn, ...groups, ...tags }), [
    ...made,
    `ec2:CreateTags ${arn('network-interface/*')}`,
  ])
})

test('a create without groups: the default group that the interface will have', () => {
  const of = state()
  const [group] = of.groupsFor('vpc-1', [])
  assert.ok(questions('CreateNetworkInterface', createIn, of).at(-1)?.endsWith(`:security-group/${group}`))
})

test('an attach: interface and instance', () => {
  const form = { NetworkInterfaceId: 'eni-primary', InstanceId: 'i-large', DeviceIndex: '1' }
  assert.deepEqual(questions('AttachNetworkInterface', form), [
    `ec2:AttachNetworkInterface ${arn('network-interface/eni-primary')}`,
    `ec2:AttachNetworkInterface ${arn('instance/i-large')}`,
  ])
})

test('a detach: those of the attachment', () => {
  const of = state()
  assert.deepEqual(questions('DetachNetworkInterface', { AttachmentId: attachmentOf('eni-primary', of) }, of), [
    `ec2:DetachNetworkInterface ${arn('network-interface/eni-primary')}`,
    `ec2:DetachNetworkInterface ${arn('instance/i-large')}`,
  ])
})

test('a modify: the interface, the groups that are given, the instance of an attachment', () => {
  const of = state()
  const modify = (change: Record<string, string>) =>
    questions('ModifyNetworkInterfaceAttribute', { NetworkInterfaceId: 'eni-primary', ...change }, of).map((question) =>
      question.split(':').at(-1),
    )
  const eni = 'network-interface/eni-primary'
  assert.deepEqual(modify({ 'SourceDestCheck.Value': 'false' }), [eni])
  assert.deepEqual(modify({ 'SecurityGroupId.1': 'sg-other' }), [eni, 'security-group/sg-other'])
  const change = {
    'Attachment.AttachmentId': attachmentOf('eni-primary', of),
    'Attachment.DeleteOnTermination': 'true',
  }
  assert.deepEqual(modify(change), [eni, 'instance/i-large'])
})

test('tagging: every resource that is named, whatever its kind', () => {
  const ids = ['eni-primary', 'i-large', 'subnet-a', 'sg-other']
  const form = Object.fromEntries(ids.map((id, at) => [`ResourceId.${at + 1}`, id]))
  for (const action of ['CreateTags', 'DeleteTags']) {
    assert.deepEqual(
      questions(action, { ...form, 'Tag.1.Key': 'a' }),
      ['network-interface/eni-primary', 'instance/i-large', 'subnet/subnet-a', 'security-group/sg-other'].map(
        (resource) => `ec2:${action} ${arn(resource)}`,
      ),
    )
  }
})

test('every action of this EC2 asks something', () => {
  const form = {
    SubnetId: 'subnet-a',
    NetworkInterfaceId: 'eni-primary',
    InstanceId: 'i-large',
    AttachmentId: 'eni-attach-0',
    GroupId: 'sg-other',
    'ResourceId.1': 'eni-primary',
  }
  for (const action of Object.keys(actions)) assert.notEqual(asked(action, form).length, 0, action)
})

const contexts: [string, string, Record<string, string>, Record<string, string[] | undefined>][] = [
  [
    'a new interface has the tags of the request, and no place',
    'CreateNetworkInterface',
    {
      'TagSpecification.1.ResourceType': 'network-interface',
      'TagSpecification.1.Tag.1.Key': 'Owner',
      'TagSpecification.1.Tag.1.Value': 'me',
      ...createIn,
    },
    {
      'aws:requesttag/owner': ['me'],
      'aws:tagkeys': ['Owner'],
      'ec2:region': ['eu-north-1'],
      'aws:requestedregion': ['eu-north-1'],
      'ec2:vpc': undefined,
      'ec2:createaction': undefined,
    },
  ],
  [
    'an interface has its tags, zone, subnet and VPC',
    'DeleteNetworkInterface',
    { NetworkInterfaceId: 'eni-primary' },
    {
      'aws:resourcetag/k': ['v'],
      'ec2:resourcetag/k': ['v'],
      'ec2:availabilityzone': ['eu-north-1a'],
      'ec2:subnet': [arn('subnet/subnet-a')],
      'ec2:vpc': [arn('vpc/vpc-1')],
    },
  ],
  [
    'an interface that is to be tagged has tags of both kinds',
    'CreateTags',
    { 'ResourceId.1': 'eni-primary', 'Tag.1.Key': 'n', 'Tag.1.Value': 'w' },
    {
      'aws:resourcetag/k': ['v'],
      'aws:requesttag/n': ['w'],
      'aws:requesttag/k': undefined,
      'ec2:vpc': [arn('vpc/vpc-1')],
      'ec2:createaction': undefined,
    },
  ],
  [
    'a tag that is to go has a key, and a value only if one was sent',
    'DeleteTags',
    { 'ResourceId.1': 'eni-primary', 'Tag.1.Key': 'n', 'Tag.2.Key': 'm', 'Tag.2.Value': '' },
    {
      'aws:tagkeys': ['n', 'm'],
      'aws:requesttag/n': undefined,
      'aws:requesttag/m': [''],
      'aws:resourcetag/k': ['v'],
      'ec2:vpc': undefined,
    },
  ],
  [
    'all tags at once are no key at all',
    'DeleteTags',
    { 'ResourceId.1': 'eni-primary' },
    { 'aws:tagkeys': undefined, 'aws:resourcetag/k': ['v'] },
  ],
  [
    'what EC2 does not know has no tags',
    'DetachNetworkInterface',
    { AttachmentId: 'eni-attach-0' },
    { 'aws:resourcetag/k': undefined, 'ec2:vpc': undefined },
  ],
]
for (const [title, action, form, expected] of contexts) {
  test(`the context: ${title}`, () => {
    const of = state()
    of.eni('eni-primary').tags.set('k', 'v')
    const context = asked(action, form, of)[0]?.context
    for (const [key, values] of Object.entries(expected)) {
      assert.deepEqual(context?.get(key), values, key)
      assert.equal(context?.has(key), values !== undefined, key)
    }
  })
}

test('the context: tags at birth say what made them', () => {
  const tags = { 'TagSpecification.1.ResourceType': 'network-interface', 'TagSpecification.1.Tag.1.Key': 'a' }
  const context = asked('CreateNetworkInterface', { ...createIn, ...tags }).at(-1)?.context
  assert.deepEqual(context?.get('ec2:createaction'), ['CreateNetworkInterface'])
  assert.deepEqual(context?.get('aws:tagkeys'), ['a'])
})

test('the context: subnets and groups have their VPC, an instance its zone', () => {
  const [, subnet, group] = asked('CreateNetworkInterface', { ...createIn, 'SecurityGroupId.1': 'sg-other' })
  assert.deepEqual(subnet?.context.get('ec2:vpc'), [arn('vpc/vpc-1')])
  assert.deepEqual(subnet?.context.get('ec2:availabilityzone'), ['eu-north-1a'])
  assert.deepEqual(group?.context.get('ec2:vpc'), [arn('vpc/vpc-2')])
  const attach = asked('AttachNetworkInterface', { NetworkInterfaceId: 'eni-0', InstanceId: 'i-large' })
  assert.deepEqual(attach[1]?.context.get('ec2:availabilityzone'), ['eu-north-1a'])
})
