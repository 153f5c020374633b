// ENIAttachment: its name, what it is born with, and the one word that sums it up.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

import {
  attachmentName,
  type DeviceStatus,
  type ENIAttachment,
  eniAttachmentSchema,
  type EniStatus,
  isIdle,
  newAttachment,
  phaseOf,
  terminalFailure,
} from '../../src/api/eni-attachment.ts'

const claim = { namespace: 'cnf', name: 'upf-0', uid: 'pod-1' }
const spec = { nodeENI: 'upf', nodeName: 'node-1', instanceID: 'i-1', resourceName: 'intel.com/upf_dataplane' }

function attachment(status: { eni?: EniStatus; device?: DeviceStatus } = {}, deleting = false): ENIAttachment {
  return eniAttachmentSchema.parse({
    apiVersion: 'networking.k8s.aws/v1alpha1',
    kind: 'ENIAttachment',
    metadata: {
      name: 'upf-1',
      uid: 'u',
      resourceVersion: '1',
      ...(deleting && { deletionTimestamp: '2026-01-01T00:00:00Z' }),
    },
    spec,
    status,
  })
}

const subdomain = fc
  .array(fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/), { minLength: 1, maxLength: 12 })
  .map((labels) =>
    labels
      .join('.')
      .slice(0, 253)
      .replace(/[.-]+$/, ''),
  )
const dnsSubdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

test('for any NodeENI name, the name of an intent is a DNS subdomain of at most 253 characters', () => {
  const edge = `${'a'.repeat(199)}.b`
  fc.assert(
    fc.property(subdomain, fc.array(fc.oneof(fc.string(), fc.nat())), (nodeENI, parts) => {
      const name = attachmentName(nodeENI, parts)
      assert.match(name, dnsSubdomain)
      assert.ok(name.length <= 253)
    }),
    { examples: [[edge, []]] },
  )
})

test('the same parts give the same name, and any other part another', () => {
  assert.equal(attachmentName('upf', ['pod-1', 'r', 0, 0]), attachmentName('upf', ['pod-1', 'r', 0, 0]))
  const names = [
    attachmentName('upf', ['pod-1', 'r', 0, 0]),
    attachmentName('upf', ['pod-1', 'r', 0, 1]),
    attachmentName('upf', ['pod-1', 'r', 1, 0]),
    attachmentName('upf', ['pod-2', 'r', 0, 0]),
    attachmentName('upf', ['pod-1r', 0, 0]),
    attachmentName('upf-b', ['pod-1', 'r', 0, 0]),
  ]
  assert.equal(new Set(names).size, names.length)
})

test('an intent is born with both finalizers, so that no crash can lose its ENI', () => {
  assert.deepEqual(newAttachment('upf-1', { ...spec, claim }), {
    apiVersion: 'networking.k8s.aws/v1alpha1',
    kind: 'ENIAttachment',
    metadata: { name: 'upf-1', finalizers: ['networking.k8s.aws/device', 'networking.k8s.aws/eni'] },
    spec: { ...spec, claim },
  })
})

const failure = { reason: 'R', message: 'm', time: '2026-01-01T00:00:00Z' }

test('the phase is one word for the furthest step', () => {
  const steps: [string, ENIAttachment][] = [
    ['Pending', attachment()],
    ['Creating', attachment({ eni: { subnetID: 'subnet-1' } })],
    ['Attaching', attachment({ eni: { subnetID: 'subnet-1', eniID: 'eni-1' } })],
    ['Attached', attachment({ eni: { eniID: 'eni-1', attached: true } })],
    ['Ready', attachment({ eni: { eniID: 'eni-1', attached: true }, device: { advertised: true } })],
    ['InUse', attachment({ device: { advertised: true, inUseBy: { namespace: 'cnf', name: 'upf-0' } } })],
    ['Failed', attachment({ device: { advertised: true, failure: { ...failure, terminal: true } } })],
    ['Releasing', attachment({ eni: { failure: { ...failure, terminal: true } } }, true)],
  ]
  for (const [phase, step] of steps) assert.equal(phaseOf(step), phase)
})

test('a failure ends the attachment only when its writer says that it is terminal', () => {
  assert.equal(terminalFailure(attachment({ eni: { failure: { ...failure, terminal: false } } })), undefined)
  const ended = attachment({
    eni: { failure: { ...failure, terminal: false } },
    device: { failure: { ...failure, terminal: true } },
  })
  assert.equal(terminalFailure(ended)?.terminal, true)
})

test('a device is idle when no pod has claimed it and no pod holds it', () => {
  assert.equal(isIdle(attachment()), true)
  assert.equal(isIdle({ ...attachment(), spec: { ...spec, claim } }), false)
  assert.equal(isIdle(attachment({ device: { inUseBy: { namespace: 'cnf', name: 'upf-0' } } })), false)
})
