// What holds in the account after any sequence of calls, refused or not, and at any moment between them.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as fc from 'fast-check'

import { attachNetworkInterface } from '../../sim/ec2/state/attach-network-interface.ts'
import { createNetworkInterface } from '../../sim/ec2/state/create-network-interface.ts'
import type { Delays } from '../../sim/ec2/state/delays.ts'
import { deleteNetworkInterface } from '../../sim/ec2/state/delete-network-interface.ts'
import { detachNetworkInterface } from '../../sim/ec2/state/detach-network-interface.ts'
import { Ec2Error } from '../../sim/ec2/state/ec2-error.ts'
import { Ec2State } from '../../sim/ec2/state/ec2-state.ts'
import type { Hypervisor } from '../../sim/ec2/state/hypervisor.ts'
import {
  launchInstance,
  startInstance,
  stopInstance,
  terminateInstance,
} from '../../sim/ec2/state/instance-lifecycle.ts'
import { modifyNetworkInterface } from '../../sim/ec2/state/modify-network-interface.ts'

import { ManualClock } from './manual-clock.ts'
import { smallWorld } from './small-world.ts'

/** The guests' buses, as the hypervisor sees them. */
class Buses implements Hypervisor {
  readonly cards = new Map<string, string>()

  plug(instanceId: string, { eniId }: { eniId: string }): void {
    assert.ok(!this.cards.has(eniId), `${eniId} is plugged in once`)
    this.cards.set(eniId, instanceId)
  }

  unplug(instanceId: string, { eniId }: { eniId: string }): void {
    assert.equal(this.cards.get(eniId), instanceId)
    this.cards.delete(eniId)
  }
}

interface Account {
  readonly state: Ec2State
  readonly clock: ManualClock
  readonly buses: Buses
}

type ChosenDelays = Omit<Record<keyof Delays, number>, 'answerMs' | 'terminatedMs' | 'tokenMs'>

function newAccount(delays: ChosenDelays): Account {
  const clock = new ManualClock()
  const buses = new Buses()
  const state = new Ec2State(smallWorld, clock, { hypervisor: buses, delays, consistency: { newIdMs: 0, listMs: 700 } })
  for (const instance of smallWorld.instances) launchInstance(state, instance)
  return { state, clock, buses }
}

/** An operation takes its operands from what exists, by number, so that most are not refused for a wrong id. */
type Operation = (account: Account) => void

const number = fc.nat(1000)
const instanceId = fc.constantFrom(...smallWorld.instances.map((instance) => instance.instanceId))
const picked = (state: Ec2State, pick: number) => state.enis()[pick % state.enis().length]
const attachmentOf = (state: Ec2State, pick: number) => picked(state, pick)?.attachment?.attachmentId ?? 'eni-attach-0'

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc
    .record({
      subnetId: fc.constantFrom('subnet-tiny', 'subnet-a', 'subnet-b'),
      secondary: fc.nat(3),
      token: fc.nat(5),
    })
    .map(({ subnetId, secondary, token }): Operation => ({ state }) => {
      createNetworkInterface(
        state,
        { subnetId, secondaryPrivateIpAddressCount: secondary },
        `token-${token}-${secondary}`,
      )
    }),
  fc.constantFrom('subnet-tiny', 'subnet-a').map((subnetId): Operation => ({ state }) => {
    createNetworkInterface(state, { subnetId })
  }),
  fc
    .record({ pick: number, instanceId, deviceIndex: fc.nat(4), networkCard: fc.nat(2) })
    .map(({ pick, ...slot }): Operation => ({ state }) => {
      attachNetworkInterface(state, { eniId: picked(state, pick)?.eniId ?? 'eni-0', ...slot })
    }),
  fc.record({ pick: number, force: fc.boolean() }).map(({ pick, force }): Operation => ({ state }) => {
    detachNetworkInterface(state, { attachmentId: attachmentOf(state, pick), force })
  }),
  number.map(
    (pick): Operation =>
      ({ state }) =>
        deleteNetworkInterface(state, picked(state, pick)?.eniId ?? 'eni-0'),
  ),
  number.map((pick): Operation => ({ state }) => {
    const attachmentId = attachmentOf(state, pick)
    const change = { attribute: 'attachment', attachmentId, deleteOnTermination: true } as const
    modifyNetworkInterface(state, picked(state, pick)?.eniId ?? 'eni-0', [change])
  }),
  fc.tuple(fc.constantFrom(stopInstance, startInstance, startInstance, terminateInstance), instanceId).map(
    ([happens, id]): Operation =>
      ({ state }) =>
        happens(state, id),
  ),
  fc.integer({ min: 1, max: 3000 }).map(
    (ms): Operation =>
      ({ clock }) =>
        clock.advance(ms),
  ),
)

test('slots, addresses and devices are right whatever is called', () => {
  const delay = fc.constantFrom(0, 500, 2000)
  const delays = fc.record<ChosenDelays>({
    createMs: delay,
    attachMs: delay,
    inUseMs: delay,
    detachMs: delay,
    deviceMs: delay,
    startMs: delay,
    stopMs: delay,
  })
  fc.assert(
    fc.property(delays, fc.array(operation, { minLength: 20, maxLength: 120 }), (chosen, operations) => {
      const account = newAccount(chosen)
      for (const operate of operations) {
        attempt(account, operate)
        checkSlots(account.state)
        checkAddresses(account.state)
        checkDevices(account)
      }
      account.clock.advance(10_000)
      checkSettled(account)
    }),
    { numRuns: 150 },
  )
})

/** A refusal is an outcome like another; anything else that is thrown is a bug. */
function attempt(account: Account, operate: Operation): void {
  try {
    operate(account)
  } catch (error) {
    if (!(error instanceof Ec2Error)) throw error
  }
}

function checkSlots(state: Ec2State): void {
  const slots = new Map<string, number>()
  const perCard = new Map<string, number>()
  for (const { attachment } of state.enis()) {
    if (attachment === undefined) continue
    const card = `${attachment.instanceId} ${attachment.networkCard}`
    const slot = `${card} ${attachment.deviceIndex}`
    slots.set(slot, (slots.get(slot) ?? 0) + 1)
    perCard.set(card, (perCard.get(card) ?? 0) + 1)
  }
  for (const [slot, count] of slots) assert.equal(count, 1, `one interface at ${slot}`)
  for (const [card, count] of perCard) {
    const [id = '', index] = card.split(' ')
    const limit = state.instance(id).limits.cards[Number(index)] ?? 0
    assert.ok(count <= limit, `${count} interfaces on ${card}, limit ${limit}`)
  }
}

function checkAddresses(state: Ec2State): void {
  const given = state.enis().flatMap((eni) => eni.privateIpAddresses)
  assert.equal(new Set(given).size, given.length, 'no address is given twice')
  for (const { subnetId, cidrBlock, addresses } of state.subnets()) {
    const held = state
      .enis()
      .filter((eni) => eni.subnetId === subnetId)
      .flatMap((eni) => eni.privateIpAddresses)
    const usable = 2 ** (32 - Number(cidrBlock.split('/')[1])) - 5
    assert.equal(addresses.free, usable - held.length, `free addresses of ${subnetId}`)
  }
}

function checkDevices({ state, buses }: Account): void {
  for (const [eniId, id] of buses.cards) {
    assert.equal(state.findEni(eniId)?.attachment?.instanceId, id, `the device of ${eniId} has an attachment behind it`)
    assert.equal(state.instance(id).state, 'running')
  }
}

function checkSettled({ state, buses }: Account): void {
  assert.deepEqual(state.view().enis, state.enis(), 'a Describe that lags has seen every change in the end')
  for (const { eniId, status, attachment } of state.enis()) {
    if (attachment === undefined) {
      assert.equal(status, 'available')
      continue
    }
    assert.equal(status, 'in-use')
    assert.equal(attachment.status, attachment.stuck ? 'attaching' : 'attached')
    const runs = state.instance(attachment.instanceId).state === 'running'
    assert.equal(buses.cards.has(eniId), runs && !attachment.stuck, `the device of ${eniId}`)
  }
}
