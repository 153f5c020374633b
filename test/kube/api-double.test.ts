// The doubles of the API server do what the behaviour table says. The real one is held to the same table in test/cluster.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { crds } from '../../src/api/crd.ts'
import { Cluster } from '../../src/kube/cluster.ts'
import { ApiDouble } from '../kube-api/api-double.ts'
import { testBehaviour } from '../kube-api/behaviour-table.ts'
import { attachmentRules, nodeENIRules } from '../kube-api/cel-rules.ts'
import { FakeApiServer } from '../kube-api/fake-api-server.ts'
import { InProcessCluster } from '../kube-api/in-process-cluster.ts'

describe('the double in this process', () => {
  const api = new ApiDouble()
  const client = new InProcessCluster(api)
  testBehaviour(() => ({ client, forgetHistory: async () => api.forgetHistory() }))
})

describe('the double over HTTP', () => {
  let api: FakeApiServer
  let client: Cluster

  before(async () => {
    api = await FakeApiServer.start()
    client = new Cluster(api.kubeconfig)
  })
  after(() => api.stop())

  testBehaviour(() => ({ client, forgetHistory: async () => api.forgetHistory() }))
})

test('every rule of the CRDs has its twin', () => {
  const texts = crds.map(({ manifest }) => messagesIn(manifest).sort())
  assert.deepEqual(texts, [Object.keys(nodeENIRules).sort(), Object.keys(attachmentRules).sort()])
})

function messagesIn(schema: unknown): string[] {
  if (schema === null || typeof schema !== 'object') return []
  const { 'x-kubernetes-validations': rules = [] } = schema as { 'x-kubernetes-validations'?: { message: string }[] }
  return [...rules.map(({ message }) => message), ...Object.values(schema).flatMap(messagesIn)]
}
