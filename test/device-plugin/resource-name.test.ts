// Resource names that cannot be served, each with what is wrong.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import fc from 'fast-check'

import { cdiDeviceName, specFileName } from '../../src/device-plugin/cdi-spec.ts'
import { deviceInfoFileName } from '../../src/device-plugin/device-info.ts'
import { resourceCheck } from '../../src/device-plugin/resource-name.ts'
import { resourceNamePattern } from '../../src/api/node-eni.ts'

function problem(resource: string, others: readonly string[] = [], injection: 'cdi' | 'device-nodes' = 'cdi') {
  return resourceCheck([resource, ...others], injection)(resource)
}

test('names of charts are served, with "_", "-" or "."', () => {
  for (const name of ['intel.com/upf_dataplane', 'intel.com/upf-n3', 'a.b/c.d', 'openshift.io/N3']) {
    assert.equal(problem(name), undefined)
  }
})

const refused: readonly (readonly [string, RegExp])[] = [
  ['upf', /not of the form prefix\/name/],
  ['intel.com/a/b', /not of the form/],
  ['intel.com/../../etc', /not of the form/],
  ['intel.com/upf dataplane', /not of the form/],
  ['', /not of the form/],
  ['kubernetes.io/upf', /Kubernetes keeps/],
  ['requests.intel.com/upf', /Kubernetes keeps/],
  [`${'a'.repeat(245)}/upf`, /prefix has more than 244/],
  [`intel.com/${'a'.repeat(64)}`, /name has more than 63/],
  [`${'a'.repeat(200)}/${'b'.repeat(60)}`, /too long for those of its device-info files/],
  ['3gpp.org/upf', /cannot be a CDI kind.*JIT_ENI_DEVICE_INJECTION=device-nodes/],
  ['intel.com/5g_upf', /cannot be a CDI kind/],
]
for (const [resource, why] of refused) {
  test(`"${resource.slice(0, 30)}" is refused: ${why.source}`, () => assert.match(problem(resource) ?? '', why))
}

test('without CDI a name may begin with a digit', () => {
  assert.equal(problem('3gpp.org/5g_upf', [], 'device-nodes'), undefined)
})

test('of two that a pod could not tell apart one is served, and the other says which has the name', () => {
  const [first, second] = ['intel.com/upf.n3', 'intel.com/upf_n3']
  assert.equal(problem(first, [second]), undefined)
  assert.match(problem(second, [first]) ?? '', /PCIDEVICE_INTEL_COM_UPF_N3 is that of intel\.com\/upf\.n3 already/)
  assert.match(problem('intel.com/upf_info', ['intel.com/upf']) ?? '', /PCIDEVICE_INTEL_COM_UPF_INFO is that of/)
  assert.match(problem('a.b/c-d', ['a.b-c/d']) ?? '', /a\.b-c-d-DEVICE-device\.json is that of/)
})

test('a resource that is not managed and comes with an ENIAttachment is judged as well', () => {
  const check = resourceCheck(['intel.com/upf.n3'], 'cdi')
  assert.match(check('intel.com/upf_n3') ?? '', /is that of intel\.com\/upf\.n3 already/)
  assert.match(check('../x') ?? '', /not of the form/)
  assert.equal(check('intel.com/other'), undefined)
})

test('whatever the text, it is judged without an exception; what is served has file names without a path, and a CDI name', () => {
  const text = fc.oneof(fc.string({ maxLength: 330 }), fc.stringMatching(resourceNamePattern))
  fc.assert(
    fc.property(text, (resource) => {
      if (problem(resource) !== undefined) return
      for (const file of [specFileName(resource), deviceInfoFileName(resource, '0000:00:06.0')]) {
        assert.match(file, /^[^/]{1,250}$/)
      }
      assert.match(cdiDeviceName(resource, '0000:00:06.0'), /^[A-Za-z][^/]*\/[A-Za-z][^/]*=0000:00:06\.0$/)
    }),
  )
})
