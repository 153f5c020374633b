// Kubeconfig files. JSON is YAML, so they are written as JSON.
import { writeFileSync } from 'node:fs'
import path from 'node:path'

export interface ApiServerAddress {
  readonly server: string
  readonly caFile: string
}

/** Writes `<directory>/<name>.kubeconfig` for a user with a bearer token, and gives back its path. */
export function writeKubeconfig(
  directory: string,
  { server, caFile }: ApiServerAddress,
  user: { readonly name: string; readonly token: string },
): string {
  const file = path.join(directory, `${user.name.replaceAll(/[^\w.-]/g, '-')}.kubeconfig`)
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'jit-eni', cluster: { server, 'certificate-authority': caFile } }],
    users: [{ name: user.name, user: { token: user.token } }],
    contexts: [{ name: 'jit-eni', context: { cluster: 'jit-eni', user: user.name } }],
    'current-context': 'jit-eni',
  }
  writeFileSync(file, JSON.stringify(config, undefined, 2), { mode: 0o600 })
  return file
}
