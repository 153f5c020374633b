// The CRD files are what src/api says, and are structural schemas that an API server accepts.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'

import { crds } from '../../src/api/crd.ts'
import { renderCrd } from '../../src/api/generate-crds.ts'
import { type JsonSchema, structuralProblems } from './structural-schema.ts'

interface Manifest {
  readonly metadata: { readonly name: string }
  readonly spec: {
    readonly group: string
    readonly scope: string
    readonly names: { readonly plural: string }
    readonly versions: readonly {
      readonly schema: { readonly openAPIV3Schema: JsonSchema }
      readonly subresources: object
      readonly selectableFields?: readonly { readonly jsonPath: string }[]
    }[]
  }
}

function schemasOf(manifest: object): JsonSchema[] {
  return (manifest as Manifest).spec.versions.map(({ schema }) => schema.openAPIV3Schema)
}

test('the files in deploy/crds are what `npm run crd` writes', async () => {
  for (const { fileName, manifest } of crds) {
    const written = await readFile(new URL(`../../deploy/crds/${fileName}`, import.meta.url), 'utf8')
    assert.equal(written, renderCrd(manifest), `${fileName} is not current: npm run crd`)
  }
})

test('every schema is structural', () => {
  for (const { fileName, manifest } of crds) {
    for (const schema of schemasOf(manifest)) assert.deepEqual(structuralProblems(schema), [], fileName)
  }
})

test('the check for structural schemas sees what an API server would refuse', () => {
  const text = { type: 'string' }
  const refused: [JsonSchema, RegExp][] = [
    [{ properties: { a: {} } }, /a: has no type/],
    [{ type: 'object', properties: { a: text }, additionalProperties: text }, /additionalProperties beside properties/],
    [{ type: 'object', properties: { a: { $ref: '#/a', type: 'string' } } }, /a: \$ref/],
    [{ type: 'string', anyOf: [{ type: 'string' }] }, /type inside anyOf/],
    [{ type: 'object', properties: { a: { type: 'array' } } }, /a: array without items/],
    [
      {
        type: 'array',
        items: { type: 'object', properties: { name: text } },
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      },
      /map key name must be required/,
    ],
    [{ type: 'string', pattern: '^(?!aws)' }, /RE2 has no lookaround/],
    [{ type: 'string', format: 'cidr' }, /format cidr/],
    [{ type: 'string', readOnly: true }, /readOnly/],
  ]
  for (const [schema, problem] of refused) assert.match(structuralProblems(schema).join('\n'), problem)
})

test('both kinds are cluster-scoped, named by their plural and group, with a status of their own', () => {
  for (const { manifest } of crds) {
    const { metadata, spec } = manifest as Manifest
    assert.equal(metadata.name, `${spec.names.plural}.${spec.group}`)
    assert.equal(spec.scope, 'Cluster')
    for (const { subresources } of spec.versions) assert.deepEqual(subresources, { status: {} })
  }
})

test('an agent can watch only the ENIAttachments of its node', () => {
  const attachments = crds.find(({ fileName }) => fileName.includes('eniattachments'))?.manifest as Manifest
  for (const { selectableFields } of attachments.spec.versions) {
    assert.ok(selectableFields?.some(({ jsonPath }) => jsonPath === '.spec.nodeName'))
  }
})
