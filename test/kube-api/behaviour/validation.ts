// What the CRDs of deploy/crds refuse, fill in and leave out.
import assert from 'node:assert/strict'

import { type Behaviour, claim, nodeENISpec, pathOf, versionOf } from './bench.ts'

export const validation: readonly Behaviour[] = [
  {
    name: 'defaults are filled in, also in the place of what a patch removes',
    async holds(bench) {
      const nodeENI = await bench.createNodeENI({ warm: 3 })
      const defaults = { deviceIndex: 1, deleteOnTermination: true, dpdkDriver: 'vfio-pci', releaseAfter: '10m' }
      assert.partialDeepStrictEqual(nodeENI, { spec: { ...defaults, warm: 3 } })
      assert.partialDeepStrictEqual(await bench.merge(pathOf(nodeENI), { spec: { warm: null } }), { spec: { warm: 0 } })
    },
  },
  {
    name: 'defaults are no change',
    async holds(bench) {
      const nodeENI = await bench.createNodeENI()
      const put = await bench.request('PUT', pathOf(nodeENI), { body: { ...nodeENI, spec: nodeENISpec } })
      assert.deepEqual([versionOf(put), put.metadata.generation], [versionOf(nodeENI), 1])
    },
  },
  {
    name: 'fields that the schema does not know are left out without a word',
    async holds(bench) {
      const attachment = await bench.createAttachment({ invented: 1 })
      assert.equal('invented' in (attachment['spec'] as object), false)
      const path = pathOf(attachment)
      const patched = await bench.merge(path, { spec: { invented: 1 } })
      assert.equal(versionOf(patched), versionOf(attachment))
    },
  },
  {
    name: 'wrong and missing values are invalid, in spec and status',
    async holds(bench) {
      await bench.refuses(422, 'Invalid', bench.createAttachment({ instanceID: 'no instance' }))
      await bench.refuses(422, 'Invalid', bench.createAttachment({ claim: { name: 'upf-0' } }))
      const attachment = await bench.createAttachment()
      const path = pathOf(attachment)
      await bench.refuses(422, 'Invalid', bench.merge(path, { spec: { nodeName: null } }))
      await bench.refuses(422, 'Invalid', bench.merge(path, { spec: { claim: { ...claim, name: 1 } } }))
      await bench.refuses(422, 'Invalid', bench.merge(`${path}/status`, { status: { phase: 'Invented' } }))
      await bench.refuses(422, 'Invalid', bench.merge(`${path}/status`, { status: { eni: { attempt: -1 } } }))
      assert.equal(versionOf(await bench.read(attachment)), versionOf(attachment))
    },
  },
  {
    name: 'an object needs a name, or the beginning of one',
    async holds(bench) {
      await bench.refuses(422, 'Invalid', bench.createAttachment({}, { name: undefined }))
      const { metadata } = await bench.createAttachment({}, { name: undefined, generateName: 'some-' })
      assert.match(metadata.name, /^some-[a-z0-9]{5}$/)
    },
  },
  {
    name: 'what an ENIAttachment is for cannot be changed, its claim can',
    async holds(bench) {
      const attachment = await bench.createAttachment()
      const path = pathOf(attachment)
      const changes = { nodeENI: 'other', nodeName: 'other', instanceID: 'i-2', resourceName: 'example.com/other' }
      for (const change of Object.entries(changes))
        await bench.refuses(422, 'Invalid', bench.merge(path, { spec: Object.fromEntries([change]) }))
      await bench.refuses(422, 'Invalid', bench.request('PUT', path, { body: { ...attachment, spec: changes } }))
      await bench.merge(path, { spec: { claim } })
    },
  },
  {
    name: 'the rules of a NodeENI hold when it is made',
    async holds(bench) {
      const wrong = [
        { mtu: 2 },
        { tags: { 'aws:x': '' } },
        { tags: { 'networking.k8s.aws/x': '' } },
        { subnetIDs: [] },
        { subnetIDs: undefined },
        { securityGroupIDs: [] },
        { dpdkResourceName: 'kubernetes.io/cpu' },
        { dpdkResourceName: 'node.kubernetes.io/cpu' },
        { dpdkResourceName: 'requests.example.com/card' },
        { attachPolicy: 'JustInTime' },
      ]
      for (const spec of wrong) await bench.refuses(422, 'Invalid', bench.createNodeENI(spec))
      const right = [
        { mtu: 0 },
        { tags: { laws: '' } },
        { subnetIDs: [], subnetNames: ['a'] },
        { subnetIDs: undefined, subnetName: 'a' },
        { securityGroupIDs: undefined, securityGroupNames: ['a'] },
        { dpdkResourceName: 'notkubernetes.io/cpu', attachPolicy: 'JustInTime' },
      ]
      for (const spec of right) await bench.createNodeENI(spec)
    },
  },
  {
    name: 'the rules of a NodeENI hold when it is changed',
    async holds(bench) {
      const nodeENI = await bench.createNodeENI()
      const wrong = [{ mtu: 2 }, { subnetIDs: null }, { securityGroupIDs: [] }, { attachPolicy: 'JustInTime' }]
      for (const spec of wrong) await bench.refuses(422, 'Invalid', bench.merge(pathOf(nodeENI), { spec }))
      assert.equal(versionOf(await bench.read(nodeENI)), versionOf(nodeENI))
    },
  },
  {
    name: 'the resource name of a NodeENI can be neither added, changed nor removed',
    async holds(bench) {
      const put = async (nodeENI: Awaited<ReturnType<typeof bench.createNodeENI>>, dpdkResourceName: string | null) =>
        bench.refuses(422, 'Invalid', bench.merge(pathOf(nodeENI), { spec: { dpdkResourceName } }))
      await put(await bench.createNodeENI(), 'example.com/card')
      const withName = await bench.createNodeENI({ dpdkResourceName: 'example.com/card' })
      await put(withName, 'example.com/other')
      await put(withName, null)
    },
  },
]
