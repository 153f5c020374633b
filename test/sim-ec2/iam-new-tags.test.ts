// A policy that goes by tags refuses a new interface until IAM knows its tags.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import {
  type PolicyAccount,
  accountWith,
  attach,
  cluster,
  create,
  isRefused,
  listed,
  modify,
  policy,
  tagsOf,
  world,
} from './iam-account.ts'

const consistency = { newIdMs: 0, listMs: 0, newTagsMs: 3000 }

describe('UnauthorizedOperation for newTagsMs', () => {
  const calls: Record<string, (account: PolicyAccount, eni: string) => Promise<unknown>> = {
    attach: ({ ours }, eni) => attach(ours, eni),
    modify: ({ ours }, eni) => modify(ours, eni, { SourceDestCheck: { Value: false } }),
    tag: ({ ours }, eni) => ours.createTags({ Resources: [eni], Tags: listed({ team: 'upf' }) }),
    delete: ({ ours }, eni) => ours.deleteNetworkInterface({ NetworkInterfaceId: eni }),
  }
  for (const [title, call] of Object.entries(calls)) {
    test(title, async (t) => {
      const account = accountWith(t, policy, world, consistency)
      const eni = await create(account.ours, tagsOf(cluster))
      await account.clock.advance(2999)
      assert.equal(await isRefused(call(account, eni)), true)
      await account.clock.advance(1)
      await call(account, eni)
    })
  }
})

test('a policy without tags does not notice, nor does Describe', async (t) => {
  const { ours, admin } = accountWith(t, policy, world, consistency)
  const eni = await create(ours, tagsOf(cluster))
  const { NetworkInterfaces = [] } = await ours.describeNetworkInterfaces({ NetworkInterfaceIds: [eni] })
  assert.notDeepEqual(NetworkInterfaces[0]?.TagSet, [])
  await attach(admin, eni)
})
