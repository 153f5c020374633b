// Who may talk to whom: a token per user of the API server, the key that signs service account tokens, and the certificate by which
// the kubelets know the API server.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { runCommand } from '../run-command.ts'

const tokenBytes = 16
const validDays = 30

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
  readonly kubeletClient: ClientCertificate
}

/** Signed by itself: whoever is to accept it takes the certificate for the CA as well. */
interface ClientCertificate {
  readonly certificateFile: string
  readonly keyFile: string
}

function user(name: string, ...groups: string[]): User {
  return { name, groups, token: randomBytes(tokenBytes).toString('hex') }
}

/** Makes the users and writes the files that the API server reads them from. */
export async function createCredentials(runDir: string, nodeNames: readonly string[]): Promise<Credentials> {
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
    kubeletClient: await createKubeletClient(runDir),
  }
}

/** The API server has no other way to show a kubelet who it is; Node signs no certificates. */
async function createKubeletClient(runDir: string): Promise<ClientCertificate> {
  const certificateFile = path.join(runDir, 'kubelet-client.crt')
  const keyFile = path.join(runDir, 'kubelet-client.key')
  // What kubectl logs and exec ask of a kubelet, it asks in this name.
  const subject = '/O=system:masters/CN=kube-apiserver-kubelet-client'
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile]
  await runCommand('openssl', [
    'req',
    '-x509',
    ...key,
    '-subj',
    subject,
    '-days',
    `${validDays}`,
    '-out',
    certificateFile,
  ])
  return { certificateFile, keyFile }
}

function required(nodes: readonly User[], nodeName: string): User {
  const found = nodes.find(({ name }) => name === `system:node:${nodeName}`)
  if (found === undefined) throw new Error(`no credentials were made for node ${nodeName}`)
  return found
}
