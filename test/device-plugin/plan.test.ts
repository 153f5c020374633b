// The next step for one ENIAttachment: which facts lead to which step.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'

import { nextStep, type Situation } from '../../src/device-plugin/plan.ts'
import type { StepFailure } from '../../src/device-plugin/step.ts'
import { attachmentOf, cardAt, entryFor, linkOf, mac } from './cards.ts'

const bare = cardAt('0000:00:06.0', { interfaces: [{ name: 'ens6', mac }] })
const bound = cardAt('0000:00:06.0', {
  driver: 'vfio-pci',
  iommuGroup: { number: '3', noIommu: false },
  entry: entryFor(bare, 'uid-a'),
})
const claim = { namespace: 'core', name: 'upf-0', uid: 'pod-1' }
const unused = { used: new Set<string>(), uplinks: new Set<string>(), addresses: new Set<string>() }
const stuck: StepFailure = { reason: 'SysfsStuck', message: 'does not return', terminal: false }

function stepWhen(more: Partial<Situation>) {
  return nextStep({
    attachment: attachmentOf(),
    match: { kind: 'found', card: bare },
    wanted: { userspace: 'vfio-pci' },
    driver: 'there',
    expectedAddress: undefined,
    generation: 3,
    host: unused,
    primary: { mac: undefined, addresses: [] },
    isAllowed: true,
    foreignMates: [],
    groupSpokenFor: undefined,
    linkFacts: { kind: 'seen', link: linkOf() },
    cardAgeMs: 0,
    wantedLink: { mtu: undefined, altName: 'upf' },
    isCorrectionDue: true,
    listed: 'nobody',
    occupancy: 'free',
    isJournaled: false,
    resourceProblem: undefined,
    isDescribed: true,
    work: { kind: 'none' },
    ...more,
  })
}

function failureWhen(more: Partial<Situation>): StepFailure {
  const step = stepWhen(more)
  assert.ok(step.kind === 'refuse', `expected a refusal, got ${step.kind}`)
  return step.failure
}

suite('a card that is wanted', () => {
  test('is awaited, bound, then offered', () => {
    assert.equal(stepWhen({ match: { kind: 'absent' } }).kind, 'await-card')
    assert.deepEqual(stepWhen({}), { kind: 'bind', card: bare, driver: 'vfio-pci' })
    assert.equal(stepWhen({ match: { kind: 'found', card: bound } }).kind, 'offer')
  })

  test('is left alone while it is being taken from its driver: its interface is there, its driver link is not', () => {
    const card = { ...bare, driver: undefined }
    assert.equal(stepWhen({ match: { kind: 'found', card } }).kind, 'wait')
  })

  test('is not offered while a pod could not open it: without IOMMU group, without uio node', () => {
    const grouped = { ...bound, iommuGroup: undefined }
    assert.equal(failureWhen({ match: { kind: 'found', card: grouped } }).reason, 'BindFailed')
    const uio = { ...bound, driver: 'igb_uio', uio: undefined }
    const wanted = { userspace: 'igb_uio' }
    assert.equal(failureWhen({ wanted, match: { kind: 'found', card: uio } }).reason, 'BindFailed')
    assert.equal(stepWhen({ wanted, match: { kind: 'found', card: { ...uio, uio: 'uio0' } } }).kind, 'offer')
  })

  test("stays with the kernel's driver when that is wanted, once its interface is set up", () => {
    assert.equal(stepWhen({ wanted: 'kernel' }).kind, 'set-link')
    const link = { before: { mtu: 1500, isUp: false }, altName: 'upf' }
    const kept = { ...bare, entry: entryFor(bare, 'uid-a', { wantedDriver: 'ena', link }) }
    const linkFacts = { kind: 'seen', link: linkOf({ isUp: true, altNames: ['upf'] }) } as const
    assert.equal(stepWhen({ wanted: 'kernel', match: { kind: 'found', card: kept }, linkFacts }).kind, 'offer')
  })

  test('of an attachment without a resource is bound whatever the kubelet says', () => {
    const { resourceName: _, ...spec } = attachmentOf().spec
    const attachment = { ...attachmentOf(), spec }
    assert.equal(stepWhen({ attachment, occupancy: 'unknown' }).kind, 'bind')
  })

  test('is bound only when no pod can have it', () => {
    assert.equal(stepWhen({ occupancy: 'unknown' }).kind, 'wait')
    assert.equal(stepWhen({ occupancy: 'taken' }).kind, 'wait')
  })

  test('is bound again after a reboot, although the checkpoint of the kubelet still shows its pod', () => {
    const attachment = attachmentOf({ device: { boundTime: '2030-01-01T00:00:00.000Z' } })
    assert.equal(stepWhen({ attachment, occupancy: 'taken' }).kind, 'bind')
  })

  test('is not offered before the kubelet has said who has what', () => {
    assert.equal(stepWhen({ match: { kind: 'found', card: bound }, occupancy: 'unknown' }).kind, 'wait')
  })

  test('waits for an earlier device at its address to leave the list', () => {
    assert.equal(stepWhen({ listed: 'another' }).kind, 'wait')
  })

  test('is described to the container runtime before it is offered, and not offered while that fails', () => {
    const match = { kind: 'found', card: bound } as const
    assert.equal(stepWhen({ match, isDescribed: false }).kind, 'describe')
    const failure: StepFailure = { reason: 'SpecNotWritten', message: 'EROFS', terminal: false }
    const work = { kind: 'backing-off', failure } as const
    assert.equal(failureWhen({ match, isDescribed: false, work }).reason, 'SpecNotWritten')
  })

  test('leaves the list before it changes its driver, and says that somebody else has changed it', () => {
    const lost = { ...bound, driver: 'ena' }
    const held = { match: { kind: 'found', card: lost }, occupancy: 'taken' } as const
    assert.equal(failureWhen(held).reason, 'DriverChanged')
    assert.equal(stepWhen({ ...held, occupancy: 'free' }).kind, 'bind')
    assert.equal(stepWhen({ match: { kind: 'found', card: lost }, listed: 'ours' }).kind, 'leave-list')
  })
})

suite('a card whose journal entry is lost', () => {
  const recovered = { kind: 'recovered', card: { ...bound, entry: undefined }, kernelDriver: 'ena' } as const
  const unidentified = { kind: 'unidentified', pciAddress: '0000:00:06.0' } as const
  const deleting = attachmentOf({ deleting: true })

  test('gets it again before anything else, once the kubelet has said who has it', () => {
    const { card, kernelDriver } = recovered
    assert.deepEqual(stepWhen({ match: recovered }), { kind: 'adopt', card, kernelDriver })
    assert.equal(stepWhen({ match: recovered, attachment: deleting }).kind, 'adopt')
    assert.equal(stepWhen({ match: recovered, occupancy: 'taken' }).kind, 'adopt')
    assert.equal(stepWhen({ match: recovered, occupancy: 'unknown' }).kind, 'wait')
    assert.equal(stepWhen({ match: recovered, work: { kind: 'running' } }).kind, 'wait')
  })

  test('is left alone and reported when nothing proves whose it is; a release waits for that too', () => {
    assert.equal(failureWhen({ match: unidentified }).reason, 'CardNotIdentified')
    assert.equal(failureWhen({ match: unidentified }).terminal, false)
    assert.equal(failureWhen({ match: unidentified, attachment: deleting }).reason, 'CardNotIdentified')
    assert.equal(failureWhen({ match: unidentified, attachment: deleting, listed: 'ours' }).reason, 'CardNotIdentified')
  })
})

suite('a card that is refused', () => {
  test('has an interface that the node itself uses', () => {
    const host = { ...unused, used: new Set(['ens6']) }
    assert.equal(failureWhen({ host }).reason, 'InterfaceInUse')
    assert.equal(failureWhen({ host }).terminal, false)
  })

  test('has an address that the node itself has, whichever table routes it; while its interface is there', () => {
    const eni = { eniID: 'eni-1', mac, addresses: ['10.0.1.7'] }
    const attachment = { ...attachmentOf(), status: { eni } }
    const host = { ...unused, addresses: new Set(['10.0.1.7']) }
    assert.equal(failureWhen({ attachment, host }).reason, 'InterfaceInUse')
    assert.match(failureWhen({ attachment, host }).message, /10\.0\.1\.7 of 0000:00:06\.0/)
    const free = { ...bare, interfaces: [], driver: undefined, entry: bound.entry }
    assert.equal(stepWhen({ attachment, host, match: { kind: 'found', card: free } }).kind, 'bind')
  })

  test("is the node's uplink, also when it would keep its driver", () => {
    const host = { ...unused, used: new Set(['ens6']), uplinks: new Set(['ens6']) }
    assert.equal(failureWhen({ host, wanted: 'kernel' }).reason, 'InterfaceInUse')
  })

  test('is the primary by the instance metadata, or has the address by which the node is reached, whatever it is to be', () => {
    const byMac = { primary: { mac, addresses: [] } }
    assert.equal(failureWhen(byMac).reason, 'InterfaceInUse')
    assert.match(failureWhen({ ...byMac, wanted: 'kernel' }).message, /primary card by the instance metadata/)
    const eni = { eniID: 'eni-1', mac, addresses: ['10.0.1.7'] }
    const byAddress = {
      attachment: { ...attachmentOf(), status: { eni } },
      primary: { mac: undefined, addresses: ['10.0.1.7'] },
    }
    assert.match(failureWhen(byAddress).message, /10\.0\.1\.7, by which the node is reached/)
    assert.equal(failureWhen({ ...byAddress, wanted: 'kernel' }).reason, 'InterfaceInUse')
    const others = { primary: { mac: '02:00:00:00:00:01', addresses: ['10.0.0.5'] } }
    assert.equal(stepWhen(others).kind, 'bind')
  })

  test('belongs to a bond or a bridge', () => {
    const card = { ...bare, interfaces: [{ name: 'ens6', mac, master: 'bond0' }] }
    const { reason, message } = failureWhen({ match: { kind: 'found', card } })
    assert.equal(reason, 'InterfaceInUse')
    assert.match(message, /belongs to bond0/)
  })

  test('is not at the address that the NodeENI asserts: that ends the attachment, and names both', () => {
    const { reason, terminal, message, observedGeneration } = failureWhen({ expectedAddress: '0000:00:07.0' })
    assert.deepEqual([reason, terminal, observedGeneration], ['PCIAddressMismatch', true, 3])
    assert.match(message, /0000:00:06\.0.*0000:00:07\.0/)
  })

  test('is for a resource that cannot be served: that ends the attachment', () => {
    const { reason, terminal, message } = failureWhen({ resourceProblem: 'resource 3gpp.org/upf cannot be a CDI kind' })
    assert.deepEqual(
      [reason, terminal, message],
      ['ResourceNotServed', true, 'resource 3gpp.org/upf cannot be a CDI kind'],
    )
  })

  test('asks for a driver that the kernel does not have: that ends the attachment, but not while the node starts', () => {
    const ends = (driver: Situation['driver']) => {
      const { reason, terminal } = failureWhen({ driver })
      return [reason, terminal]
    }
    assert.deepEqual(ends('missing'), ['DriverMissing', true])
    assert.deepEqual(ends('awaited'), ['DriverMissing', false])
  })

  test('is refused by the driver for good: that ends the attachment, by what the NodeENI says now', () => {
    const failure: StepFailure = { reason: 'NoIOMMU', message: 'no IOMMU', terminal: true }
    assert.deepEqual(failureWhen({ work: { kind: 'backing-off', failure } }), { ...failure, observedGeneration: 3 })
    const passing: StepFailure = { ...failure, terminal: false }
    assert.deepEqual(failureWhen({ work: { kind: 'backing-off', failure: passing } }), passing)
  })

  test('is of another make than the setting allows: that ends the attachment; one that is ours already goes on', () => {
    const { reason, terminal, message } = failureWhen({ isAllowed: false })
    assert.deepEqual([reason, terminal], ['DeviceNotAllowed', true])
    assert.match(message, /1d0f:ec20.*JIT_ENI_ALLOWED_DEVICES/)
    assert.equal(failureWhen({ isAllowed: false, wanted: 'kernel' }).reason, 'DeviceNotAllowed')
    assert.equal(stepWhen({ isAllowed: false, match: { kind: 'found', card: bound } }).kind, 'offer')
  })

  test('shares its IOMMU group with a function that somebody else uses: bound or not, and it names both', () => {
    const foreignMates = [{ pciAddress: '0000:00:06.1', driver: 'nvme' }]
    const { reason, message } = failureWhen({ foreignMates })
    assert.equal(reason, 'GroupInUse')
    assert.match(message, /0000:00:06\.0.*0000:00:06\.1.*nvme/)
    assert.equal(failureWhen({ foreignMates, match: { kind: 'found', card: bound } }).reason, 'GroupInUse')
    assert.equal(stepWhen({ foreignMates, wanted: 'kernel' }).kind, 'set-link')
  })

  test('is open in a process while it should change its driver', () => {
    const open = { ...bound, isOpen: true }
    const wanted = { userspace: 'igb_uio' }
    assert.equal(failureWhen({ wanted, match: { kind: 'found', card: open } }).reason, 'CardInUse')
    assert.equal(stepWhen({ match: { kind: 'found', card: open }, occupancy: 'taken' }).kind, 'offer')
  })

  test('is open in a process though no pod has it: whoever got it could not open it', () => {
    const match = { kind: 'found', card: { ...bound, isOpen: true } } as const
    assert.equal(failureWhen({ match, listed: 'ours', occupancy: 'free' }).reason, 'CardInUse')
    const withoutResource = attachmentOf({ spec: { resourceName: undefined } })
    assert.equal(stepWhen({ match, attachment: withoutResource }).kind, 'offer')
  })

  test('has no device node', () => {
    const card = { ...bound, isNodeMissing: true }
    assert.equal(failureWhen({ match: { kind: 'found', card } }).reason, 'DeviceNodeMissing')
  })

  test('is ambiguous', () => {
    const match = { kind: 'ambiguous', pciAddresses: ['0000:00:06.0', '0000:00:07.0'] } as const
    assert.equal(failureWhen({ match }).reason, 'AmbiguousMAC')
  })

  test('is of an ENI that was attached once and, as EC2 says, is no longer', () => {
    const eni = { eniID: 'eni-1', mac, attachedTime: '2030-01-01T00:00:00.000Z' }
    const attachment = { ...attachmentOf(), status: { eni } }
    assert.equal(failureWhen({ attachment }).reason, 'ENIDetached')
    assert.equal(failureWhen({ attachment, match: { kind: 'found', card: bound } }).reason, 'ENIDetached')
    const attached = { ...attachment, status: { eni: { ...eni, attached: true } } }
    assert.equal(stepWhen({ attachment: attached, match: { kind: 'found', card: bound } }).kind, 'offer')
  })

  test('is in quarantine', () => {
    assert.equal(failureWhen({ work: { kind: 'stuck', failure: stuck } }).reason, 'SysfsStuck')
  })

  test('was refused for good before', () => {
    const failure = { reason: 'DriverMissing', message: 'no driver', terminal: true, time: '2030-01-01T00:00:00Z' }
    assert.equal(failureWhen({ attachment: attachmentOf({ device: { failure } }) }).reason, 'DriverMissing')
  })
})

suite('a release', () => {
  const deleting = attachmentOf({ deleting: true })
  const ours = { attachment: deleting, match: { kind: 'found', card: bound }, isJournaled: true } as const

  test('waits for the claim, and for the pod', () => {
    const claimed = attachmentOf({ deleting: true, spec: { claim } })
    assert.equal(stepWhen({ ...ours, attachment: claimed, listed: 'ours' }).kind, 'offer')
    assert.equal(stepWhen({ ...ours, listed: 'ours', occupancy: 'taken' }).kind, 'offer')
  })

  test('leaves the list, gives the card back, then ends', () => {
    assert.equal(stepWhen({ ...ours, listed: 'ours' }).kind, 'withdraw')
    assert.equal(stepWhen(ours).kind, 'restore')
    const restored = { ...bare, entry: bound.entry }
    const finish = stepWhen({ ...ours, match: { kind: 'found', card: restored } })
    assert.deepEqual(finish, { kind: 'finish', card: restored })
  })

  test('is not at its end while two ENIAttachments name its MAC and it may still be bound', () => {
    const attachment = attachmentOf({ deleting: true })
    const match = { kind: 'ambiguous', pciAddresses: [bound.pciAddress] } as const
    assert.equal(failureWhen({ attachment, match, isJournaled: true }).reason, 'AmbiguousMAC')
    assert.equal(stepWhen({ attachment, match }).kind, 'finish')
  })

  test('promises the device to nobody any more when its card is not as it should be', () => {
    const vanished = { kind: 'absent' } as const
    assert.equal(stepWhen({ ...ours, match: vanished, listed: 'ours' }).kind, 'leave-list')
    const lost = { kind: 'found', card: { ...bound, driver: 'ena' } } as const
    assert.equal(stepWhen({ ...ours, match: lost, listed: 'ours' }).kind, 'leave-list')
  })

  test('does not touch the card while the kubelet does not say who has it', () => {
    assert.equal(stepWhen({ ...ours, occupancy: 'unknown' }).kind, 'wait')
  })

  test('ends at once when there never was an ENI, claimed or not', () => {
    const never = attachmentOf({ deleting: true, mac: undefined, spec: { claim } })
    assert.equal(stepWhen({ attachment: never, match: { kind: 'absent' } }).kind, 'finish')
  })

  test('ends when the card has vanished', () => {
    assert.equal(stepWhen({ ...ours, match: { kind: 'absent' } }).kind, 'finish')
  })

  test('does nothing to a card that was never changed', () => {
    assert.equal(stepWhen({ attachment: deleting }).kind, 'finish')
  })

  test('takes a card that a process has open out of the list, and gives it back when that has closed it', () => {
    const open = { kind: 'found', card: { ...bound, isOpen: true } } as const
    assert.equal(stepWhen({ ...ours, match: open, listed: 'ours' }).kind, 'leave-list')
    assert.equal(failureWhen({ ...ours, match: open }).reason, 'CardInUse')
  })

  test('leaves a card in quarantine alone', () => {
    assert.equal(failureWhen({ ...ours, work: { kind: 'stuck', failure: stuck } }).reason, 'SysfsStuck')
  })

  test('is over when our finalizer is gone', () => {
    const { metadata } = deleting
    const attachment = { ...deleting, metadata: { ...metadata, finalizers: [] } }
    assert.equal(stepWhen({ ...ours, attachment }).kind, 'finished')
  })
})
