// All rivals together on one account.

import assert from 'node:assert/strict'
import { before, test } from 'node:test'

import { Human } from '../../sim/ec2/rivals/human.ts'
import { OtherCluster } from '../../sim/ec2/rivals/other-cluster.ts'
import { VpcCni } from '../../sim/ec2/rivals/vpc-cni.ts'
import { seededRandom } from '../../sim/ec2/state/duration.ts'

import { firstCall } from './cni-under-test.ts'
import { rivalAccount } from './rival-account.ts'

before(firstCall)

/** Returns all that can be seen of the account at the end. */
async function run(seed: number, steps: number): Promise<string> {
  const { clock, ec2 } = rivalAccount()
  const random = seededRandom(seed)
  const cnis = ['i-large', 'i-cni', 'i-cards'].map((instanceId) => new VpcCni(ec2, { instanceId, random }))
  const options = { clusterName: 'green', subnetIds: ['subnet-a', 'subnet-tiny'], instanceIds: ['i-cni', 'i-cards'] }
  const other = new OtherCluster(ec2, { ...options, random })
  const human = new Human(ec2, random)
  for (const cni of cnis) cni.start()
  for (let step = 0; step < steps; step++) {
    const cni = cnis[Math.floor(random() * cnis.length)]
    const moves = [
      () => void cni?.grow(),
      () => void cni?.shrink(),
      () => cni?.restart(),
      () => other.step(),
      () => human.meddle(ec2.state.enis().map((eni) => eni.eniId)),
    ]
    moves[Math.floor(random() * moves.length)]?.()
    await clock.advance(Math.floor(random() * 20_000))
  }
  for (const cni of cnis) cni.stop()
  const enis = ec2.state
    .enis()
    .map(({ eniId, status, tags, attachment }) => ({ eniId, status, tags: [...tags], attachment }))
  return JSON.stringify({ enis, calls: ec2.calls.countByAction(), deeds: human.deeds })
}

test('live for hours, and the same seed gives the same hours', async () => {
  const first = await run(7, 600)
  assert.equal(await run(7, 600), first)
  assert.notEqual(await run(8, 100), await run(9, 100))
  const { calls } = JSON.parse(first) as { calls: Record<string, number> }
  for (const action of ['CreateNetworkInterface', 'DetachNetworkInterface', 'DeleteNetworkInterface', 'CreateTags']) {
    assert.ok((calls[action] ?? 0) > 10, `${calls[action]} ${action}`)
  }
})
