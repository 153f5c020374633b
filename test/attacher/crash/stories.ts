// What happens around the attacher while it dies and comes back, and what must be reached.
import { createNetworkInterface } from '../../../sim/ec2/state/create-network-interface.ts'
import type { Ec2, Ec2Options } from '../../../sim/ec2/new-ec2.ts'
import type { ActionName } from '../../../sim/ec2/wire/actions.ts'
import type { CallLog } from '../../../sim/ec2/wire/call-log.ts'
import { type Claim, terminalFailure } from '../../../src/api/eni-attachment.ts'
import type { NodeENISpec } from '../../../src/api/node-eni.ts'
import { resource } from '../attacher-world.ts'
import type { Scene } from '../scene.ts'
import { ours } from '../lab/invariants.ts'
import type { Lab } from '../lab/lab.ts'

/** How long EC2 takes, unless a story says otherwise. */
export const delays = { answerMs: 50, createMs: 300, attachMs: 1_000, detachMs: 1_000, deviceMs: 1_200, stopMs: 5_000 }

export interface StoryTools {
  readonly scene: Scene
  readonly ec2: Ec2
  readonly lab: Pick<Lab, 'replaceAttacher' | 'cutOffAttacher'>
  /** Lets time pass until it is so. */
  readonly until: (isSo: () => boolean) => Promise<void>
}

export interface Story {
  /** By which ONLY=... and mutants name it. */
  readonly slug: string
  readonly name: string
  readonly ec2?: Partial<Ec2Options>
  /** What the calls show when the story has happened as its name says, without a death: else it would tell of nothing. */
  readonly happened?: (calls: CallLog) => boolean
  readonly tell: (tools: StoryTools) => Promise<void>
}

type Node = 'a1' | 'a2' | 'b1' | 'volumes'

function addUpf(scene: Scene, spec: Partial<NodeENISpec> = {}): void {
  const subnets = { subnetIDs: ['subnet-a1', 'subnet-b1'] }
  scene.addNodeENI('upf', { dpdkResourceName: resource, releaseAfter: '0s', ...subnets, ...spec })
}

/** As the extender does for a pod that needs an ENI. */
function addPod(scene: Scene, name: string, node: Node): Claim {
  const claim = scene.addUnboundPod(name)
  scene.addIntent(`upf-${name}`, claim, { nodeName: node, instanceID: `i-${node}` })
  return claim
}

function isServed(scene: Scene, pod: Claim): boolean {
  return scene.attachments().some(({ status }) => status?.device?.inUseBy?.name === pod.name)
}

function isIdle(scene: Scene, name: string): boolean {
  const { spec, status } = scene.attachment(name)
  return spec.claim === undefined && status?.device?.inUseBy === undefined && status?.eni?.idleSince !== undefined
}

function isBeingAttached(scene: Scene): boolean {
  return ours(scene).some(({ attachment }) => attachment?.status === 'attaching')
}

function isEmpty(scene: Scene): boolean {
  return scene.attachments().length === 0 && ours(scene).length === 0
}

function isThere(scene: Scene, nodeENI: string): boolean {
  return scene.api.store('nodeenis').get(nodeENI) !== undefined
}

const five: readonly [string, Node][] = [
  ['0', 'a1'],
  ['1', 'a1'],
  ['2', 'a2'],
  ['3', 'b1'],
  ['4', 'b1'],
]

/** Five pods on three nodes at once, until all hold their ENI and until all have given it back. */
async function tellOfFive({ scene, until }: StoryTools): Promise<void> {
  addUpf(scene)
  const pods = five.map(([name, node]) => addPod(scene, name, node))
  await until(() => pods.every((pod) => isServed(scene, pod)))
  for (const pod of pods) scene.endPod(pod)
  await until(() => isEmpty(scene))
}

/** Somebody else takes the next device index as soon as our ENI is made. */
function takeIndexAtCreate({ scene, ec2 }: StoryTools): void {
  const off = ec2.calls.on(({ action }) => {
    if (action !== 'CreateNetworkInterface') return
    off()
    scene.attachForeign('i-a1', 1)
  })
}

/** All free addresses but so many are taken by others. */
function fill({ scene, ec2 }: StoryTools, subnetId: string, but: number): void {
  const { addresses } = ec2.state.subnet(subnetId)
  while (addresses.free > but) scene.foreign.leave(createNetworkInterface(ec2.state, { subnetId }).eniId)
}

function wasRefused(calls: CallLog, action: ActionName, code: string): boolean {
  return calls.of(action).some(({ error }) => error === code)
}

function wasDone(calls: CallLog, action: ActionName): boolean {
  return calls.of(action).some(({ error }) => error === undefined)
}

export const stories: readonly Story[] = [
  {
    slug: 'one-pod',
    name: 'one pod, from its intent to the release',
    async tell({ scene, until }) {
      addUpf(scene, { sourceDestCheck: false })
      const pod = addPod(scene, '0', 'a1')
      await until(() => isServed(scene, pod))
      scene.endPod(pod)
      await until(() => isEmpty(scene))
    },
  },
  { slug: 'five-pods', name: 'five pods at once', tell: tellOfFive },
  {
    slug: 'throttled',
    name: 'two pods at once, and a throttled account',
    ec2: { throttling: { scale: 1, overrides: { AttachNetworkInterface: { bucket: 1, refillPerSecond: 0.2 } } } },
    happened: (calls) => wasRefused(calls, 'AttachNetworkInterface', 'RequestLimitExceeded'),
    async tell({ scene, until }) {
      addUpf(scene)
      const pods = [addPod(scene, '0', 'a1'), addPod(scene, '1', 'b1')]
      await until(() => pods.every((pod) => isServed(scene, pod)))
      for (const pod of pods) scene.endPod(pod)
      await until(() => isEmpty(scene))
    },
  },
  {
    slug: 'reuse',
    name: 'a pod that takes the idle ENI of another',
    happened: (calls) => calls.count('CreateNetworkInterface') === 1,
    async tell({ scene, until }) {
      addUpf(scene, { releaseAfter: '1m' })
      const first = addPod(scene, '0', 'a1')
      await until(() => isServed(scene, first))
      scene.endPod(first)
      await until(() => isIdle(scene, 'upf-0'))
      const second = scene.addUnboundPod('1')
      scene.setClaim('upf-0', second)
      await until(() => isServed(scene, second))
      scene.endPod(second)
      await until(() => isEmpty(scene))
    },
  },
  {
    slug: 'ends-when-planned',
    name: 'a pod that ends as soon as its ENI is planned',
    async tell({ scene, until }) {
      addUpf(scene)
      const pod = addPod(scene, '0', 'a1')
      await until(() => scene.attachment('upf-0').status?.eni?.plannedTime !== undefined)
      scene.endPod(pod)
      await until(() => isEmpty(scene))
    },
  },
  {
    slug: 'node-eni-ends',
    name: 'the end of a NodeENI with a pod in use and a warm ENI',
    async tell({ scene, until }) {
      addUpf(scene, { warm: 1, nodeSelector: { node: 'a1' } })
      const pod = addPod(scene, '0', 'a1')
      await until(
        () => isServed(scene, pod) && scene.attachments().filter((one) => one.status?.eni?.attached).length === 2,
      )
      scene.api.store('nodeenis').delete('upf')
      await until(() => scene.attachments().length === 1)
      scene.endPod(pod)
      await until(() => isEmpty(scene) && !isThere(scene, 'upf'))
    },
  },
  {
    slug: 'terminated-in-use',
    name: 'an instance that is terminated under its pod',
    // It went with its instance.
    happened: (calls) => calls.count('DetachNetworkInterface') + calls.count('DeleteNetworkInterface') === 0,
    async tell({ scene, until }) {
      addUpf(scene)
      const pod = addPod(scene, '0', 'a1')
      await until(() => isServed(scene, pod))
      scene.terminateInstance('i-a1')
      scene.api.store('nodes').delete('a1')
      scene.endPod(pod)
      await until(() => isEmpty(scene))
    },
  },
  {
    slug: 'terminated-attaching',
    name: 'an instance that is terminated while its ENI is being attached',
    // Nobody had said yet that it goes with its instance, which let go of it.
    happened: (calls) => calls.count('DetachNetworkInterface') === 0 && wasDone(calls, 'DeleteNetworkInterface'),
    async tell({ scene, until }) {
      addUpf(scene)
      const pod = addPod(scene, '0', 'a1')
      await until(() => scene.ec2.state.enisOn('i-a1').length > 1)
      scene.terminateInstance('i-a1')
      scene.api.store('nodes').delete('a1')
      scene.endPod(pod)
      await until(() => isEmpty(scene))
    },
  },
  {
    slug: 'eager',
    name: 'Eager on three nodes, and the end of the NodeENI',
    async tell({ scene, until }) {
      scene.addNodeENI('n6', { subnetIDs: ['subnet-a1', 'subnet-b1'] })
      const attached = () => scene.attachments().filter(({ status }) => status?.eni?.attached === true)
      await until(() => attached().length === 3)
      scene.api.store('nodeenis').delete('n6')
      await until(() => isEmpty(scene) && !isThere(scene, 'n6'))
    },
  },
  {
    slug: 'index-taken',
    name: 'a device index that somebody else takes first',
    happened: (calls) => wasRefused(calls, 'AttachNetworkInterface', 'InvalidParameterValue'),
    async tell(tools) {
      const { scene, until } = tools
      takeIndexAtCreate(tools)
      addUpf(scene)
      const pod = addPod(scene, '0', 'a1')
      await until(() => isServed(scene, pod))
      scene.endPod(pod)
      await until(() => isEmpty(scene))
    },
  },
  {
    slug: 'subnet-exhausted',
    name: 'a subnet that is exhausted meanwhile',
    happened: (calls) => wasRefused(calls, 'CreateNetworkInterface', 'InsufficientFreeAddressesInSubnet'),
    async tell(tools) {
      const { scene, ec2, until } = tools
      addUpf(scene, { subnetIDs: ['subnet-a2', 'subnet-a3'] })
      fill(tools, 'subnet-a3', 10)
      const off = ec2.calls.on(({ action }) => {
        if (action !== 'DescribeSubnets') return
        off()
        fill(tools, 'subnet-a2', 0)
      })
      const pod = addPod(scene, '0', 'a1')
      await until(() => isServed(scene, pod))
      scene.endPod(pod)
      await until(() => isEmpty(scene))
    },
  },
  {
    slug: 'deleted-by-hand',
    name: 'an ENI that somebody deletes by hand while it is released',
    happened: (calls) => !wasDone(calls, 'DeleteNetworkInterface'),
    async tell({ scene, ec2, until }) {
      addUpf(scene)
      const pod = addPod(scene, '0', 'a1')
      await until(() => isServed(scene, pod))
      scene.endPod(pod)
      const detached = () => ours(scene).find(({ status }) => status === 'available')
      await until(() => detached() !== undefined || isEmpty(scene))
      const eni = detached()
      if (eni !== undefined) ec2.state.removeEni(eni)
      await until(() => isEmpty(scene))
    },
  },
  {
    slug: 'ends-when-made',
    name: 'a pod that ends in the moment in which EC2 makes its ENI',
    async tell({ scene, until }) {
      addUpf(scene)
      const pod = addPod(scene, '0', 'a1')
      await until(() => ours(scene).length > 0)
      scene.endPod(pod)
      await until(() => isEmpty(scene))
    },
  },
  {
    slug: 'rollout',
    name: 'another attacher in place of the one that is attaching an ENI',
    async tell({ scene, lab, until }) {
      addUpf(scene)
      const pod = addPod(scene, '0', 'a1')
      await until(() => isBeingAttached(scene))
      lab.replaceAttacher()
      await until(() => isServed(scene, pod))
      scene.endPod(pod)
      await until(() => isEmpty(scene))
    },
  },
  {
    slug: 'cut-off',
    name: 'a leader that has no API server any more while it waits for EC2 to attach',
    // So long that it would still wait when another leads.
    ec2: { delays: { ...delays, attachMs: 25_000 } },
    async tell({ scene, lab, until }) {
      addUpf(scene)
      const pod = addPod(scene, '0', 'a1')
      await until(() => scene.attachment('upf-0').status?.eni?.attachmentID !== undefined)
      lab.cutOffAttacher()
      await until(() => isServed(scene, pod))
      scene.endPod(pod)
      await until(() => isEmpty(scene))
    },
  },
  {
    slug: 'last-attachment',
    name: 'two pods on an instance with one attachment left, of which EC2 does not show the primary interface yet',
    ec2: { consistency: { newIdMs: [500, 8_000], listMs: [1_500, 2_000] } },
    // The other pod gets none, not even one that is not attached.
    happened: (calls) => calls.count('CreateNetworkInterface') === 1,
    async tell({ scene, ec2, until }) {
      scene.addNode('volumes')
      addUpf(scene)
      const pods = [addPod(scene, '0', 'volumes'), addPod(scene, '1', 'volumes')]
      const isRefused = () => scene.attachments().some((one) => terminalFailure(one)?.reason === 'NodeFull')
      await until(isRefused)
      ec2.setConsistency(undefined)
      await until(() => pods.some((pod) => isServed(scene, pod)))
      for (const pod of pods) scene.endPod(pod)
      await until(() => isEmpty(scene))
    },
  },
]
