// The policy that we ship (deploy/iam) at work, through the SDK: it is enough for an interface’s whole life, and it holds back from
// what is not this cluster’s.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'

import { attachmentTag, clusterTag, nodeENITag, noManageTag } from '../../src/api/names.ts'

import {
  type PolicyAccount,
  account,
  accountWith,
  attach,
  cluster,
  create,
  deployFolder,
  isRefused,
  listed,
  modify,
  policy,
  region,
  tagsOf,
  wholeLife,
  world,
} from './iam-account.ts'

test('the command in the README fills the policy in as the tests here do', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'iam-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const readme = readFileSync(new URL('README.md', deployFolder), 'utf8')
  const command = /```sh\n(?<command>sed [\s\S]*?)```/.exec(readme)?.groups?.['command'] ?? assert.fail('no command')
  const filledIn = join(folder, 'filled-in.json')
  execFileSync('sh', ['-c', command.replace('filled-in.json', filledIn)], {
    cwd: deployFolder,
    env: {
      ...process.env,
      CLUSTER: cluster,
      REGION: region,
      ACCOUNT: account.accountId,
      PARTITION: 'aws',
      VPC: 'vpc-1',
    },
  })
  assert.deepEqual(JSON.parse(readFileSync(filledIn, 'utf8')), policy)
})

test('the README explains every statement', () => {
  const readme = readFileSync(new URL('README.md', deployFolder), 'utf8')
  for (const { Sid } of policy.Statement) assert.ok(readme.includes(`| \`${Sid}\``), Sid)
})

test('the policy is enough for an interface’s whole life', async (t) => {
  assert.equal(await wholeLife(accountWith(t, policy)), 'nothing refused')
})

test('the policy lets tags be given back that somebody took, but for the one that says whose it is', async (t) => {
  const { ours, admin } = accountWith(t, policy)
  const Resources = [await create(ours, tagsOf(cluster))]
  await admin.deleteTags({ Resources, Tags: [attachmentTag, nodeENITag, noManageTag].map((Key) => ({ Key })) })
  await ours.createTags({ Resources, Tags: listed({ ...tagsOf(cluster), team: 'upf' }) })
  await admin.deleteTags({ Resources, Tags: [{ Key: clusterTag }] })
  assert.equal(await isRefused(ours.createTags({ Resources, Tags: listed({ [clusterTag]: cluster }) })), true)
})

test('the policy has every action that the attacher calls', () => {
  const folder = new URL('../../src/attacher/', import.meta.url)
  const sources = readdirSync(folder).map((file) => readFileSync(new URL(file, folder), 'utf8'))
  const called = sources.flatMap((source) =>
    [...source.matchAll(/new (\w+)Command\(/g)].map(([, action]) => `ec2:${action}`),
  )
  assert.ok(called.length > 5)
  const allowed = new Set(policy.Statement.flatMap(({ Action }) => Action))
  assert.deepEqual(
    called.filter((action) => !allowed.has(action)),
    [],
  )
})

describe('the policy holds back', () => {
  const foreign = {
    'an interface without our tag': ({ admin }: PolicyAccount) => create(admin, { Name: 'somebody’s' }),
    'an interface of another cluster': ({ admin }: PolicyAccount) => create(admin, tagsOf('green')),
    'an interface with our tag in another VPC': ({ admin }: PolicyAccount) =>
      create(admin, tagsOf(cluster), 'subnet-other'),
  }
  const changes: Record<string, (account: PolicyAccount, eni: string) => Promise<unknown>> = {
    attach: ({ ours }, eni) => attach(ours, eni),
    'set the source/dest check': ({ ours }, eni) => modify(ours, eni, { SourceDestCheck: { Value: false } }),
    'change the description': ({ ours }, eni) => modify(ours, eni, { Description: { Value: 'mine' } }),
    'change the groups': ({ ours }, eni) => modify(ours, eni, { Groups: ['sg-2'] }),
    delete: ({ ours }, eni) => ours.deleteNetworkInterface({ NetworkInterfaceId: eni }),
    'set DeleteOnTermination': async ({ ours, admin }, eni) => {
      const Attachment = { AttachmentId: await attach(admin, eni), DeleteOnTermination: true }
      return modify(ours, eni, { Attachment })
    },
    detach: async ({ ours, admin }, eni) => ours.detachNetworkInterface({ AttachmentId: await attach(admin, eni) }),
  }
  const tagging: typeof changes = {
    'give a tag': ({ ours }, eni) => ours.createTags({ Resources: [eni], Tags: listed({ team: 'upf' }) }),
    'take a tag': ({ ours }, eni) => ours.deleteTags({ Resources: [eni], Tags: [{ Key: 'Name' }] }),
    'give our tag': ({ ours }, eni) => ours.createTags({ Resources: [eni], Tags: listed({ [clusterTag]: cluster }) }),
    'take all tags': ({ ours }, eni) => ours.deleteTags({ Resources: [eni] }),
  }

  for (const [whose, make] of Object.entries(foreign)) {
    // EC2 knows no key for the VPC of what loses a tag, so there the tag of the cluster alone decides.
    const attempts = whose.includes('VPC') ? changes : { ...changes, ...tagging }
    for (const [what, attempt] of Object.entries(attempts)) {
      test(`from ${whose}: ${what}`, async (t) => {
        const of = accountWith(t, policy)
        assert.equal(await isRefused(attempt(of, await make(of))), true)
      })
    }
  }

  for (const [whose, instanceId] of [
    ['of another cluster', 'i-2'],
    ['that this cluster only shares', 'i-3'],
  ] as const) {
    const attempts: Record<string, (account: PolicyAccount, eni: string) => Promise<unknown>> = {
      attach: ({ ours }, eni) => attach(ours, eni, instanceId),
      'set DeleteOnTermination': async ({ ours, admin }, eni) => {
        const Attachment = { AttachmentId: await attach(admin, eni, instanceId), DeleteOnTermination: true }
        return modify(ours, eni, { Attachment })
      },
      detach: async ({ ours, admin }, eni) =>
        ours.detachNetworkInterface({ AttachmentId: await attach(admin, eni, instanceId) }),
    }
    for (const [what, attempt] of Object.entries(attempts)) {
      test(`from an instance ${whose}: ${what}`, async (t) => {
        const of = accountWith(t, policy)
        assert.equal(await isRefused(attempt(of, await create(of.ours, tagsOf(cluster)))), true)
      })
    }
  }

  const births: Record<string, (account: PolicyAccount) => Promise<unknown>> = {
    'without tags': ({ ours }) => ours.createNetworkInterface({ SubnetId: 'subnet-a', Groups: ['sg-1'] }),
    'without our tag': ({ ours }) => create(ours, { Name: 'nobody’s' }),
    'with the tag of another cluster': ({ ours }) => create(ours, tagsOf('green')),
    'in another VPC': ({ ours }) => create(ours, tagsOf(cluster), 'subnet-other'),
    'with a group of another VPC': ({ ours }) => create(ours, tagsOf(cluster), 'subnet-a', 'sg-other'),
  }
  for (const [how, attempt] of Object.entries(births)) {
    test(`from making an interface ${how}`, async (t) =>
      assert.equal(await isRefused(attempt(accountWith(t, policy))), true))
  }

  for (const Key of [clusterTag, 'team']) {
    test(`from taking the tag ${Key} off our own interfaces`, async (t) => {
      const { ours } = accountWith(t, policy)
      const Resources = [await create(ours, tagsOf(cluster))]
      assert.equal(await isRefused(ours.deleteTags({ Resources, Tags: [{ Key }] })), true)
    })
  }

  for (const [Key, Value] of [
    [clusterTag, 'green'],
    [noManageTag, 'false'],
  ]) {
    test(`from giving our own interfaces ${Key}=${Value}`, async (t) => {
      const { ours } = accountWith(t, policy)
      const Resources = [await create(ours, tagsOf(cluster))]
      assert.equal(await isRefused(ours.createTags({ Resources, Tags: [{ Key, Value }] })), true)
      const beside = [
        { Key: 'team', Value: 'upf' },
        { Key, Value },
      ]
      assert.equal(await isRefused(ours.createTags({ Resources, Tags: beside })), true)
    })
  }

  test('from a foreign interface that is named beside our own', async (t) => {
    const of = accountWith(t, policy)
    const Resources = [await create(of.ours, tagsOf(cluster)), await create(of.admin, tagsOf('green'))]
    assert.equal(await isRefused(of.ours.createTags({ Resources, Tags: listed({ team: 'upf' }) })), true)
  })

  test('from the tags of what is no interface', async (t) => {
    const { ours } = accountWith(t, policy)
    for (const id of ['i-1', 'subnet-a', 'sg-1']) {
      assert.equal(await isRefused(ours.createTags({ Resources: [id], Tags: listed({ team: 'upf' }) })), true)
    }
  })

  test('from groups of another VPC, for an interface that is ours', async (t) => {
    const { ours } = accountWith(t, policy)
    const eni = await create(ours, tagsOf(cluster))
    assert.equal(await isRefused(modify(ours, eni, { Groups: ['sg-other'] })), true)
  })

  test('from another region', async (t) => {
    const { ours } = accountWith(t, policy, { ...world, region: 'us-east-1' })
    assert.equal(await isRefused(ours.describeSubnets({})), true)
    assert.equal(await isRefused(create(ours, tagsOf(cluster))), true)
  })
})
