// A create whose answer was lost, and whose repeat EC2 refuses: the ENI may be there, shown or not shown yet.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import type { NetworkInterface } from '../../sim/ec2/state/network-interface.ts'
import { attachmentTag } from '../../src/api/names.ts'

import { AccountInUse, minuteMs } from './lab/account-in-use.ts'

const action = 'CreateNetworkInterface'
const noRights = { code: 'UnauthorizedOperation', message: 'You are not authorized.', status: 403 }
const noAddress = { code: 'InsufficientFreeAddressesInSubnet' }

class LostCreates extends AccountInUse {
  constructor(newIdMs: number) {
    super({ ec2: { consistency: { newIdMs, listMs: newIdMs } } })
  }

  /** The create is done, and its answer lost; calls `then` before it is repeated. */
  loseAnswer(then: () => void): void {
    this.ec2.faults.add({ action, when: 'after', kind: { code: 'InternalError', status: 500 } })
    this.onCall(action, then)
  }

  refuseOnce(kind: typeof noRights | typeof noAddress): void {
    this.ec2.faults.add({ action, when: 'before', kind })
  }

  /** Another question than before for the client token. */
  describeAs(description: string): void {
    this.scene.changeNodeENI('upf', { description: `jit-eni ${description}` })
  }

  /** The ENI of the first plan never shows, and the answer of the second create is lost too. */
  async missFirst(): Promise<void> {
    this.loseAnswer(() => this.describeAs('second'))
    this.addPod('new', 'a2')
    await this.until(() => this.eniOf('new') !== undefined, minuteMs)
    this.ec2.state.removeEni(this.eniOf('new') ?? assert.fail())
    const forgotten = () => {
      const { attempt, subnetID } = this.attachmentOf('new')?.status?.eni ?? {}
      if (attempt !== 1 || subnetID !== undefined) return
      off()
      this.loseAnswer(() => this.describeAs('third'))
    }
    const off = this.api.store('eniattachments').onChange(forgotten)
    await this.until(() => this.eniOf('new') !== undefined, 3 * minuteMs)
  }

  /** As it is in EC2, shown or not. */
  eniOf(pod: string): NetworkInterface | undefined {
    const uid = this.attachmentOf(pod)?.metadata.uid
    return this.ec2.state.enis().find(({ tags }) => tags.get(attachmentTag) === uid)
  }

  attemptOf(pod: string): number | undefined {
    return this.attachmentOf(pod)?.status?.eni?.attempt
  }
}

/** ENIs that EC2 shows at once, or so late. */
async function accountThatShows(newIdMs: number): Promise<LostCreates> {
  const lab = new LostCreates(newIdMs)
  await lab.start()
  return lab
}

describe('a create that was done, tried again, and refused', () => {
  for (const [title, kind] of Object.entries({ 'for want of rights': noRights, 'for want of addresses': noAddress })) {
    test(`${title}: the ENI that EC2 shows is the one`, async () => {
      const lab = await accountThatShows(0)
      const { intents } = lab
      lab.loseAnswer(() => lab.refuseOnce(kind))
      lab.addPod('new', 'a2')
      await lab.until(() => lab.isServed('new'), minuteMs)
      assert.equal(lab.intents, intents + 1)
      await lab.assertAllWell()
      assert.equal(lab.made().length, lab.intents)
      await lab.assertLeavesNothing()
    })

    test(`${title}, and shown later: it has its object until it is deleted`, async () => {
      const lab = await accountThatShows(40_000)
      lab.loseAnswer(() => lab.refuseOnce(kind))
      lab.addPod('new', 'a2')
      await lab.until(() => lab.isServed('new'), 5 * minuteMs)
      await lab.assertAllWell()
      await lab.assertLeavesNothing()
    })
  }

  test('for want of addresses, and shown later: the next subnet is not waited for', async () => {
    const lab = await accountThatShows(40_000)
    lab.scene.changeNodeENI('upf', { subnetIDs: ['subnet-a1', 'subnet-a2'] })
    lab.loseAnswer(() => lab.refuseOnce(noAddress))
    lab.addPod('new', 'a2')
    await lab.until(() => lab.attachmentOf('new')?.status?.eni?.subnetID === 'subnet-a2', 10_000)
    assert.equal(lab.attemptOf('new'), 2)
  })
})

describe('when the ENI of a first plan never showed, and the answer of the second is lost too', () => {
  test('the second is waited for anew', async () => {
    const lab = await accountThatShows(55_000)
    await lab.missFirst()
    await lab.until(() => lab.isServed('new'), 3 * minuteMs)
    assert.equal(lab.attemptOf('new'), 2)
    assert.deepEqual([...lab.violations], [])
  })

  test('it is looked for when its pod ends', async () => {
    const lab = await accountThatShows(55_000)
    await lab.missFirst()
    lab.releaseIdle()
    lab.endPod('new')
    await lab.assertLeavesNothing()
    assert.deepEqual([...lab.violations], [])
  })
})
