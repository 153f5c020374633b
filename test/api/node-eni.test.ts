// NodeENI takes every manifest of the AWS Multi-ENI Controller, fills in defaults, and refuses values that EC2 could not mean.
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { parse } from 'yaml'

import {
  attachPolicyOf,
  isReady,
  nodeENISchema,
  nodeENISpecSchema,
  selectsNode,
  userspaceDriverOf,
} from '../../src/api/node-eni.ts'

const manifests = new URL('manifests/', import.meta.url)
const least = { nodeSelector: {}, subnetID: 'subnet-1', securityGroupIDs: ['sg-1'] }
const spec = (more: object = {}) => nodeENISpecSchema.parse({ ...least, ...more })

test('every manifest written for the AWS Multi-ENI Controller is accepted, and nothing in it is lost', async () => {
  const files = await readdir(manifests)
  assert.equal(files.length, 5)
  for (const file of files) {
    const manifest = parse(await readFile(new URL(file, manifests), 'utf8')) as { spec: object }
    assert.partialDeepStrictEqual(nodeENISpecSchema.parse(manifest.spec), manifest.spec, file)
  }
})

test('a manifest with no more than selector, subnet and security group has these defaults', () => {
  assert.deepEqual(spec(), {
    ...least,
    deviceIndex: 1,
    deleteOnTermination: true,
    enableDPDK: false,
    dpdkDriver: 'vfio-pci',
    warm: 0,
    releaseAfter: '10m',
    sourceDestCheck: true,
    secondaryPrivateIPv4AddressCount: 0,
    ipv6AddressCount: 0,
  })
})

const refused: [string, unknown][] = [
  ['nodeSelector', undefined],
  ['nodeSelector', { ng: 1 }],
  ['subnetID', 'vpc-1'],
  ['subnetID', 'subnet-'],
  ['subnetIDs', ['subnet-1', 'subnet_2']],
  ['subnetIDs', Array.from({ length: 17 }, (_, n) => `subnet-${n}`)],
  ['subnetName', ''],
  ['securityGroupIDs', ['subnet-1']],
  ['deviceIndex', 0],
  ['deviceIndex', 1.5],
  ['deviceIndex', 128],
  ['mtu', -1],
  ['mtu', 9217],
  ['dpdkDriver', 'mlx5_core'],
  ['dpdkPCIAddress', '00:07.0'],
  ['dpdkPCIAddress', '0000:00:07.8'],
  ['dpdkPCIAddress', '0000:00:0G.0'],
  ['dpdkResourceName', 'upf_dataplane'],
  ['dpdkResourceName', 'intel.com/upf dataplane'],
  ['dpdkResourceName', '-intel.com/upf'],
  ['attachPolicy', 'Lazy'],
  ['maxPerNode', 0],
  ['warm', -1],
  ['releaseAfter', 'soon'],
  ['releaseAfter', '10'],
  ['releaseAfter', '-1m'],
  ['interfaceName', 'upf/control'],
  ['tags', { team: 5 }],
  ['secondaryPrivateIPv4AddressCount', 50],
  ['ipv6AddressCount', -1],
]

for (const [field, value] of refused) {
  test(`${field}: ${JSON.stringify(value)} is refused by its own name`, () => {
    const result = nodeENISpecSchema.safeParse({ ...least, [field]: value })
    assert.deepEqual([...new Set(result.error?.issues.map(({ path }) => path[0]))], [field])
  })
}

test('ids need not be hexadecimal, and durations may be compound', () => {
  const accepted = { subnetID: 'subnet-9i8h7g', securityGroupIDs: ['sg-xyz'], releaseAfter: '1h30m' }
  assert.partialDeepStrictEqual(spec(accepted), accepted)
  for (const releaseAfter of ['0', '0s', '1.5h', '250ms'])
    assert.equal(spec({ releaseAfter }).releaseAfter, releaseAfter)
})

test('without attachPolicy, a NodeENI with a resource attaches just in time and one without attaches eagerly', () => {
  assert.equal(attachPolicyOf(spec()), 'Eager')
  assert.equal(attachPolicyOf(spec({ dpdkResourceName: 'intel.com/upf' })), 'JustInTime')
  assert.equal(attachPolicyOf(spec({ dpdkResourceName: 'intel.com/upf', attachPolicy: 'Eager' })), 'Eager')
})

test('a card gets the DPDK driver only when DPDK is enabled', () => {
  assert.equal(userspaceDriverOf(spec({ dpdkDriver: 'igb_uio' })), undefined)
  assert.equal(userspaceDriverOf(spec({ dpdkDriver: 'igb_uio', enableDPDK: true })), 'igb_uio')
})

test('a node is selected when it has all labels of the selector', () => {
  const selector = spec({ nodeSelector: { ng: 'multi-eni', zone: 'a' } })
  assert.equal(selectsNode(selector, { ng: 'multi-eni', zone: 'a', other: 'x' }), true)
  assert.equal(selectsNode(selector, { ng: 'multi-eni', zone: 'b' }), false)
  assert.equal(selectsNode(selector, { ng: 'multi-eni' }), false)
  assert.equal(selectsNode(spec(), {}), true)
})

test('a NodeENI is ready only when its condition Ready says so', () => {
  const nodeENI = (status?: string) =>
    nodeENISchema.parse({
      apiVersion: 'networking.k8s.aws/v1alpha1',
      kind: 'NodeENI',
      metadata: { name: 'upf', uid: 'u', resourceVersion: '1' },
      spec: least,
      ...(status && {
        status: {
          conditions: [
            { type: 'Other', status: 'True', reason: 'R', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
            { type: 'Ready', status, reason: 'R', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
          ],
        },
      }),
    })
  assert.equal(isReady(nodeENI()), false)
  assert.equal(isReady(nodeENI('False')), false)
  assert.equal(isReady(nodeENI('Unknown')), false)
  assert.equal(isReady(nodeENI('True')), true)
})
