// Who may talk to the API server: a token per user, and the key that signs service account tokens.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'

const tokenBytes = 16

export interface User {
  readonly name: string
  readonly token: string
  readonly groups: readonly string[]
}

export interface Credentials {
  readonly admin: User
  readonly controllerManager: User
  readonly scheduler: User
  readonly node: (name: string) => User
  readonly tokenFile: string
  readonly signingKeyFile: string
  readonly verificationKeyFile: string
}

function user(name: string, ...groups: string[]): User {
  return { name, groups, token: randomBytes(tokenBytes).toString('hex') }
}

/** Makes the users and writes the files that the API server reads them from. */
export function createCredentials(runDir: string, nodeNames: readonly string[]): Credentials {
  const admin = user('admin', 'system:masters')
  const controllerManager = user('system:kube-controller-manager')
  const scheduler = user('system:kube-scheduler')
  // Name and group by which the Node authorizer and NodeRestriction know a kubelet.
  const nodes = nodeNames.map((name) => user(`system:node:${name}`, 'system:nodes'))

  const tokenFile = path.join(runDir, 'tokens.csv')
  const lines = [admin, controllerManager, scheduler, ...nodes].map(
    ({ name, token, groups }) =>
      // An empty fourth column would be a group with an empty name.
      `${[token, name, name, ...(groups.length === 0 ? [] : [`"${groups.join(',')}"`])].join(',')}\n`,
  )
  writeFileSync(tokenFile, lines.join(''), { mode: 0o600 })

  const signingKeyFile = path.join(runDir, 'service-account.key')
  const verificationKeyFile = path.join(runDir, 'service-account.pub')
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  writeFileSync(signingKeyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }), {
    mode: 0o600,
  })
  writeFileSync(verificationKeyFile, publicKey.export({ type: 'spki', format: 'pem' }))

  return {
    admin,
    controllerManager,
    scheduler,
    node: (name) => required(nodes, name),
    tokenFile,
    signingKeyFile,
    verificationKeyFile,
  }
}

function required(nodes: readonly User[], nodeName: string): User {
  const found = nodes.find(({ name }) => name === `system:node:${nodeName}`)
  if (found === undefined) throw new Error(`no credentials were made for node ${nodeName}`)
  return found
}
