// Nothing in the policy that we ship (deploy/iam) can be left out: without any of its statements, actions and resources a step of an
// interface’s life fails, and without any of its conditions a call passes that must not.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import type { EC2 } from '@aws-sdk/client-ec2'

import { clusterTag, noManageTag } from '../../src/api/names.ts'

import {
  type PolicyAccount,
  type PolicyDocument,
  type StatementDocument,
  accountWith,
  attach,
  cluster,
  create,
  isRefused,
  listed,
  modify,
  policy,
  tagsOf,
  wholeLife,
  world,
} from './iam-account.ts'

describe('nothing in the policy can be left out', () => {
  const network = ['describe subnets', 'describe security groups', 'describe instances', 'describe instance types']
  const needed: Record<string, Record<string, string>> = {
    Look: {
      DescribeNetworkInterfaces: 'describe interfaces',
      DescribeInstances: 'describe instances',
      DescribeInstanceTypes: 'describe instance types',
      DescribeSubnets: 'describe subnets',
      DescribeSecurityGroups: 'describe security groups',
      '*': network[0] ?? '',
    },
    CreateInterfacesOfThisCluster: { CreateNetworkInterface: 'create', 'network-interface/*': 'create' },
    CreateInTheVpc: { CreateNetworkInterface: 'create', 'subnet/*': 'create', 'security-group/*': 'create' },
    TagWhileCreating: { CreateTags: 'create', 'network-interface/*': 'create' },
    ChangeInterfacesOfThisCluster: {
      ModifyNetworkInterfaceAttribute: 'set the source/dest check',
      AttachNetworkInterface: 'attach',
      DetachNetworkInterface: 'detach',
      DeleteNetworkInterface: 'delete',
      'network-interface/*': 'set the source/dest check',
    },
    UseInstancesOfThisCluster: {
      AttachNetworkInterface: 'attach',
      ModifyNetworkInterfaceAttribute: 'set DeleteOnTermination',
      DetachNetworkInterface: 'detach',
      'instance/*': 'attach',
    },
    GiveSecurityGroupsOfTheVpc: {
      ModifyNetworkInterfaceAttribute: 'change the groups',
      'security-group/*': 'change the groups',
    },
    TagInterfacesOfThisCluster: { CreateTags: 'give a tag', 'network-interface/*': 'give a tag' },
  }
  const shortName = (name: string): string => name.split(':').at(-1) ?? ''
  const without = (names: string | readonly string[], name: string): string[] => {
    const rest = [names].flat().filter((each) => shortName(each) !== name)
    return rest.length > 0 ? rest : ['ec2:nothing']
  }

  test('and every statement, action and resource of it is tried here', () => {
    const tried = Object.entries(needed).map(([sid, parts]) => [sid, ...Object.keys(parts).toSorted()])
    const there = policy.Statement.map(({ Sid, Action, Resource }) => [
      Sid,
      ...[Action, Resource].flat(2).map(shortName).toSorted(),
    ])
    assert.deepEqual(tried, there)
  })

  for (const [sid, parts] of Object.entries(needed)) {
    for (const [part, step] of Object.entries(parts)) {
      test(`${sid} without ${part} fails to ${step}`, async (t) => {
        const less = policy.Statement.map((statement) =>
          statement.Sid === sid
            ? { ...statement, Action: without(statement.Action, part), Resource: without(statement.Resource, part) }
            : statement,
        )
        assert.equal(await wholeLife(accountWith(t, { ...policy, Statement: less })), step)
      })
    }
  }

  test('a statement at a time: without it some step fails', async (t) => {
    for (const { Sid } of policy.Statement) {
      const Statement = policy.Statement.filter((statement) => statement.Sid !== Sid)
      assert.notEqual(await wholeLife(accountWith(t, { ...policy, Statement })), 'nothing refused', Sid)
    }
  })
})

describe('no condition in the policy can be left out', () => {
  const green = ({ admin }: PolicyAccount) => create(admin, tagsOf('green'))
  const elsewhere = ({ admin }: PolicyAccount) => create(admin, tagsOf(cluster), 'subnet-other')
  const mine = ({ ours }: PolicyAccount) => create(ours, tagsOf(cluster))
  const remove = (client: EC2, NetworkInterfaceId: string) => client.deleteNetworkInterface({ NetworkInterfaceId })

  /** A call that the condition holds back, and that would pass without it. */
  const heldBack: Record<string, (account: PolicyAccount) => Promise<unknown>> = {
    'CreateInterfacesOfThisCluster StringEquals aws:RequestTag/networking.k8s.aws/cluster': ({ ours }) =>
      create(ours, tagsOf('green')),
    'CreateInTheVpc ArnEquals ec2:Vpc': ({ ours }) => create(ours, tagsOf(cluster), 'subnet-other'),
    'TagWhileCreating StringEquals ec2:CreateAction': async (of) =>
      of.ours.createTags({ Resources: [await green(of)], Tags: listed({ [clusterTag]: cluster }) }),
    'ChangeInterfacesOfThisCluster StringEquals aws:ResourceTag/networking.k8s.aws/cluster': async (of) =>
      remove(of.ours, await green(of)),
    'ChangeInterfacesOfThisCluster ArnEquals ec2:Vpc': async (of) => remove(of.ours, await elsewhere(of)),
    'UseInstancesOfThisCluster StringEquals aws:ResourceTag/kubernetes.io/cluster/blue': async (of) =>
      attach(of.ours, await mine(of), 'i-2'),
    'GiveSecurityGroupsOfTheVpc ArnEquals ec2:Vpc': async (of) =>
      modify(of.ours, await mine(of), { Groups: ['sg-other'] }),
    'TagInterfacesOfThisCluster StringEquals aws:ResourceTag/networking.k8s.aws/cluster': async (of) =>
      of.ours.createTags({ Resources: [await green(of)], Tags: listed({ team: 'upf' }) }),
    'TagInterfacesOfThisCluster StringEqualsIfExists aws:RequestTag/networking.k8s.aws/cluster': async (of) =>
      of.ours.createTags({ Resources: [await mine(of)], Tags: listed({ [clusterTag]: 'green' }) }),
    'TagInterfacesOfThisCluster StringEqualsIfExists aws:RequestTag/node.k8s.amazonaws.com/no_manage': async (of) =>
      of.ours.createTags({ Resources: [await mine(of)], Tags: listed({ [noManageTag]: 'false' }) }),
  }
  const inAnotherRegion = 'Look StringEquals aws:RequestedRegion'
  const linesOf = ({ Sid, Condition }: StatementDocument) =>
    Object.entries(Condition).flatMap(([operator, keys]) => Object.keys(keys).map((key) => `${Sid} ${operator} ${key}`))

  const withoutLine = (line: string): PolicyDocument => ({
    ...policy,
    Statement: policy.Statement.map((statement) => ({
      ...statement,
      Condition: Object.fromEntries(
        Object.entries(statement.Condition).map(([operator, keys]) => [
          operator,
          Object.fromEntries(Object.entries(keys).filter(([key]) => `${statement.Sid} ${operator} ${key}` !== line)),
        ]),
      ),
    })),
  })

  test('and every one of them is tried here', () => {
    const tried = [...Object.keys(heldBack), inAnotherRegion].toSorted()
    assert.deepEqual(tried, policy.Statement.flatMap(linesOf).toSorted())
  })

  for (const [line, call] of Object.entries(heldBack)) {
    test(line, async (t) => {
      assert.equal(await isRefused(call(accountWith(t, policy))), true)
      assert.equal(await isRefused(call(accountWith(t, withoutLine(line)))), false)
    })
  }

  test(inAnotherRegion, async (t) => {
    const of = { ...world, region: 'us-east-1' }
    assert.equal(await isRefused(accountWith(t, policy, of).ours.describeSubnets({})), true)
    assert.equal(await isRefused(accountWith(t, withoutLine(inAnotherRegion), of).ours.describeSubnets({})), false)
  })
})
