// What may happen next, in any order. Which of the things that are there a step takes is chosen by number.
import * as fc from 'fast-check'

import { modifyNetworkInterface } from '../../../sim/ec2/state/modify-network-interface.ts'
import { clusterTag, attachmentTag, forceDetachAnnotation, noManageTag } from '../../../src/api/names.ts'
import type { NodeENISpec } from '../../../src/api/node-eni.ts'
import { ec2Troubles } from './ec2-troubles.ts'
import { editChoices, newChoices, nodeENINames, specOf } from './node-enis.ts'
import { nothing } from './nodes.ts'
import { type Step, stepOf } from './step.ts'
import type { Trial } from './trial.ts'
import type { ApiTrouble } from './trouble.ts'
import { instanceShapes, type InstanceShape, nodeNames, resources } from './world.ts'

const number = fc.nat(60)
const nodeName = fc.constantFrom(...nodeNames)
const picked = <Item>(items: readonly Item[], pick: number): Item | undefined => items[pick % items.length]

const time: fc.Arbitrary<Step> = fc
  .oneof(
    { weight: 60, arbitrary: fc.integer({ min: 1, max: 400 }) },
    { weight: 80, arbitrary: fc.integer({ min: 400, max: 6_000 }) },
    { weight: 40, arbitrary: fc.integer({ min: 6_000, max: 90_000 }) },
    { weight: 15, arbitrary: fc.integer({ min: 90_000, max: 15 * 60_000 }) },
    // EC2 forgets client tokens in the last.
    { weight: 1, arbitrary: fc.constantFrom(60 * 60_000, 60 * 60_000, 13 * 60 * 60_000) },
  )
  .map((ms) => async ({ lab }) => {
    await lab.clock.advance(ms)
    return `${ms} ms pass`
  })

const podComes: fc.Arbitrary<Step> = fc
  .record({
    resource: fc.constantFrom(resources[0], ...resources),
    devices: fc.constantFrom(1, 1, 1, 1, 2),
    node: number,
  })
  .map(({ resource, devices, node }) => (trial) => {
    const name = trial.addPod(resource, devices, node)
    return `pod ${name} comes and asks for ${devices} ${resource}`
  })

const podGoes: fc.Arbitrary<Step> = fc
  .record({ pick: number, how: fc.constantFrom('is deleted', 'is deleted', 'has succeeded', 'is replaced') })
  .map(({ pick, how }) => (trial) => {
    const pod = picked(trial.pods(), pick)
    if (pod === undefined) return nothing
    const { name, namespace } = pod.metadata
    const pods = trial.lab.api.store('pods')
    if (how === 'has succeeded')
      pods.update(`${namespace}/${name}`, (one) => ({ ...one, status: { phase: 'Succeeded' } }))
    else pods.delete(`${namespace}/${name}`)
    if (how === 'is replaced') trial.addPod(resources[0], 1, pick, name)
    return `pod ${name} ${how}`
  })

const nodeENIComes: fc.Arbitrary<Step> = fc
  .record({ name: fc.constantFrom(...nodeENINames), chosen: newChoices })
  .map(({ name, chosen }) => ({ lab }) => {
    const store = lab.api.store('nodeenis')
    if (store.get(name) !== undefined) return nothing
    store.create({ metadata: { name }, spec: specOf(name, chosen) })
    return `NodeENI ${name} is created: ${JSON.stringify(chosen)}`
  })

const nodeENIChanges: fc.Arbitrary<Step> = fc
  .record({ name: fc.constantFrom(...nodeENINames), chosen: editChoices })
  .map(({ name, chosen }) => ({ lab }) => {
    const store = lab.api.store('nodeenis')
    if (store.get(name) === undefined) return nothing
    store.update(name, (object) => ({ ...object, spec: { ...(object['spec'] as NodeENISpec), ...chosen } }))
    return `NodeENI ${name} is edited: ${JSON.stringify(chosen)}`
  })

const nodeENIGoes: fc.Arbitrary<Step> = fc.constantFrom(...nodeENINames).map((name) => ({ lab }) => {
  if (lab.api.store('nodeenis').get(name) === undefined) return nothing
  lab.api.store('nodeenis').delete(name)
  return `NodeENI ${name} is deleted`
})

const attachmentGoes: fc.Arbitrary<Step> = fc
  .record({ pick: number, force: fc.constantFrom(false, false, true) })
  .map(({ pick, force }) => ({ lab }) => {
    const name = picked(lab.scene.attachments(), pick)?.metadata.name
    if (name === undefined) return nothing
    const store = lab.api.store('eniattachments')
    const annotations = { [forceDetachAnnotation]: 'true' }
    if (force) store.update(name, (one) => ({ ...one, metadata: { ...one.metadata, annotations } }))
    store.delete(name)
    return `ENIAttachment ${name} is deleted${force ? ', with force-detach' : ''}`
  })

const cardFails: fc.Arbitrary<Step> = number.map((pick) => ({ lab, kubelet }) => {
  const name = picked(lab.scene.attachments(), pick)?.metadata.name
  if (name === undefined || !kubelet.failCard(name)) return nothing
  return `the device plugin cannot use the card of ${name}`
})

const awayMs = fc.integer({ min: 100, max: 120_000 })
const shape = fc.constantFrom(...(Object.keys(instanceShapes) as InstanceShape[]))

const nodeChanges: fc.Arbitrary<Step> = fc.oneof(
  stepOf(fc.record({ name: nodeName, awayMs }), ({ nodes }, { name, awayMs: ms }) => nodes.terminate(name, ms)),
  stepOf(fc.record({ name: nodeName, shape }), ({ nodes }, { name, shape: as }) => nodes.launch(name, as)),
  stepOf(nodeName, ({ nodes }, name) => nodes.stop(name)),
  stepOf(nodeName, ({ nodes }, name) => nodes.start(name)),
  stepOf(nodeName, ({ nodes }, name) => nodes.relabel(name)),
  stepOf(fc.record({ name: nodeName, awayMs }), ({ nodes }, { name, awayMs: ms }) => nodes.unregister(name, ms)),
)

/** Beforehand: EC2's change is looked at at once. */
function meddle(sets: readonly Set<string>[], eniID: string, deed: () => string | undefined): string | undefined {
  const added = sets.filter((set) => !set.has(eniID))
  for (const set of added) set.add(eniID)
  const refused = deed()
  if (refused !== undefined) for (const set of added) set.delete(eniID)
  return refused
}

const deeds = {
  detach: ({ human, record: { taken } }: Trial, eniID: string) => meddle([taken], eniID, () => human.detach(eniID)),
  delete: ({ human, record: { taken } }: Trial, eniID: string) => meddle([taken], eniID, () => human.delete(eniID)),
  move: ({ human, record: { taken }, nodes }: Trial, eniID: string, pick: number) =>
    meddle([taken], eniID, () => human.move(eniID, nodes.instanceOf(picked(nodeNames, pick) ?? '') ?? '')),
  'take all tags of': ({ human, record: { taken, retagged } }: Trial, eniID: string) =>
    meddle([taken, retagged], eniID, () => human.removeTags(eniID)),
  'take a tag of': ({ human, record: { taken, retagged } }: Trial, eniID: string, pick: number) => {
    const key = picked([clusterTag, attachmentTag, noManageTag, 'Name'], pick) ?? ''
    const sets = key === 'Name' ? [] : [retagged]
    // VPC CNI takes it for its own as soon as it sees it.
    return meddle(key === noManageTag ? [...sets, taken] : sets, eniID, () => human.removeTags(eniID, [key]))
  },
  'flip DeleteOnTermination of': ({ human }: Trial, eniID: string) => human.flipDeleteOnTermination(eniID),
  'flip the source/dest check of': ({ human }: Trial, eniID: string) => human.flipSourceDestCheck(eniID),
  'change the groups of': ({ lab }: Trial, eniID: string) => {
    modifyNetworkInterface(lab.ec2.state, eniID, [{ attribute: 'groupSet', value: ['sg-second'] }])
    return undefined
  },
} as const

const byHand: fc.Arbitrary<Step> = fc
  .record({ deed: fc.constantFrom(...(Object.keys(deeds) as (keyof typeof deeds)[])), pick: number, detail: number })
  .map(({ deed, pick, detail }) => (trial) => {
    const known = trial.record.present().filter(({ eni }) => trial.lab.ec2.state.visibility.knows(eni, 'other'))
    const chosen = picked(known, pick)
    if (chosen === undefined) return nothing
    const { eniID, name } = chosen.made
    const refused = deeds[deed](trial, eniID, detail)
    return `somebody: ${deed} ${eniID} (of ${name})${refused === undefined ? '' : `: ${refused}`}`
  })

const vpcCni: fc.Arbitrary<Step> = fc
  .record({ name: nodeName, what: fc.constantFrom('grow', 'grow', 'shrink', 'restart') })
  .map(({ name, what }) => (trial) => {
    const cni = trial.cniOf(name)
    if (cni === undefined) return nothing
    if (what === 'restart') cni.restart()
    else {
      const tell = (done: unknown) => trial.tell(`VPC CNI of ${name}: ${what}: ${JSON.stringify(done)}`)
      void (what === 'grow' ? cni.grow() : cni.shrink()).then(tell)
    }
    return `VPC CNI of ${name}: ${what}`
  })

const otherCluster: fc.Arbitrary<Step> = fc.constant((trial) => {
  trial.otherCluster.step()
  return `the other cluster does something: it has ${trial.otherCluster.eniIds.join(', ')}`
})

const when = fc.constantFrom('before' as const, 'after' as const)
const death = fc.record({ at: fc.integer({ min: 1, max: 14 }), when })

const attacher: fc.Arbitrary<Step> = fc.oneof(
  fc.constant<Step>(({ trouble }) => trouble.restartAttacher()),
  stepOf(death, ({ trouble }, fate) => trouble.restartAttacher(fate)),
  fc.constant<Step>(({ trouble }) => trouble.stopAttacher()),
  fc.constant<Step>(({ extender }) => {
    extender.restart()
    return 'another extender takes over'
  }),
)

const apiTrouble: fc.Arbitrary<ApiTrouble> = fc.record({
  requests: fc.constantFrom('reads' as const, 'writes' as const, 'writes' as const),
  when,
  answer: fc.constantFrom<ApiTrouble['answer'][]>(500, 503, 429, 'reset'),
  times: fc.integer({ min: 1, max: 6 }),
})

const apiServer: fc.Arbitrary<Step> = fc.oneof(
  stepOf(apiTrouble, ({ trouble }, one) => trouble.apiTrouble(one)),
  fc.constant<Step>(({ trouble }) => trouble.breakWatches()),
  stepOf(fc.integer({ min: 1, max: 4 }), ({ trouble }, events) => trouble.dropEvents(events)),
  fc.constant<Step>(({ trouble }) => trouble.forgetHistory()),
  stepOf(fc.constantFrom(0, 200, 3_000), ({ trouble }, ms) => trouble.watchDelay(ms)),
)

/** So that there is something to happen to. */
export const firstSteps = fc.array(nodeENIComes, { minLength: 1, maxLength: 3, size: 'max' })

export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 30, arbitrary: time },
  { weight: 18, arbitrary: podComes },
  { weight: 10, arbitrary: podGoes },
  { weight: 8, arbitrary: nodeENIComes },
  { weight: 5, arbitrary: nodeENIChanges },
  { weight: 2, arbitrary: nodeENIGoes },
  { weight: 2, arbitrary: attachmentGoes },
  { weight: 1, arbitrary: cardFails },
  { weight: 6, arbitrary: nodeChanges },
  { weight: 5, arbitrary: byHand },
  { weight: 3, arbitrary: vpcCni },
  { weight: 2, arbitrary: otherCluster },
  { weight: 5, arbitrary: attacher },
  { weight: 7, arbitrary: ec2Troubles },
  { weight: 4, arbitrary: apiServer },
)
