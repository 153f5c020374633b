// Tokens of service accounts by TokenRequest, as the kubelet gets them for the pods of its node.
import type { ApiClient } from './api-client.ts'

const expirationSeconds = 24 * 60 * 60

export interface ServiceAccountRef {
  readonly namespace: string
  readonly name: string
  /**
   * A node that the token is bound to: its requests then carry `authentication.kubernetes.io/node-name`,
   * by which an admission policy tells one node's agent from another's.
   */
  readonly boundNode?: string
}

export async function requestToken(api: ApiClient, account: ServiceAccountRef): Promise<string> {
  const { namespace, name, boundNode } = account
  const answer = await api.json<{ status: { token: string } }>(
    'POST',
    `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`,
    {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        expirationSeconds,
        ...(boundNode !== undefined && { boundObjectRef: await nodeReference(api, boundNode) }),
      },
    },
  )
  return answer.status.token
}

async function nodeReference(api: ApiClient, name: string): Promise<object> {
  const node = await api.json<{ metadata: { uid: string } }>('GET', `/api/v1/nodes/${name}`)
  return { apiVersion: 'v1', kind: 'Node', name, uid: node.metadata.uid }
}
