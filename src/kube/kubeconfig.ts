// Where the API server is and who we are to it: from a kubeconfig file, or from the service account of the pod that we run in.
// What a kubeconfig may say is in k8s.io/client-go/tools/clientcmd/api/v1/types.go; what we refuse of it is in ADR 7.
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { isIPv6 } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'

import { SettingsError } from '../process/settings.ts'

/** In the kubeconfig itself, or in a file that may be replaced at any time. */
export type Material = { readonly text: string } | { readonly file: string }

export interface ExecPlugin {
  readonly apiVersion: string
  readonly command: string
  readonly args: readonly string[]
  readonly env: readonly { readonly name: string; readonly value: string }[]
}

export interface ClusterAccess {
  readonly server: URL
  /** undefined: the authorities that Node knows. */
  readonly authority: Material | undefined
  readonly verifyServer: boolean
  readonly serverName: string | undefined
  readonly proxy: string | undefined
  readonly certificate: Material | undefined
  readonly key: Material | undefined
  readonly token: Material | undefined
  readonly basic: { readonly username: string; readonly password: string } | undefined
  readonly exec: ExecPlugin | undefined
  readonly impersonate: string | undefined
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Programs that write kubeconfigs leave empty what is not there. */
const text = z
  .string()
  .nullish()
  .transform((value) => value || undefined)
const clusterSchema = z.object({
  server: z.url({ protocol: /^https?$/ }),
  'certificate-authority': text,
  'certificate-authority-data': text,
  'insecure-skip-tls-verify': z.boolean().nullish(),
  'tls-server-name': text,
  'proxy-url': text,
})
const userSchema = z.object({
  token: text,
  tokenFile: text,
  'client-certificate': text,
  'client-certificate-data': text,
  'client-key': text,
  'client-key-data': text,
  username: text,
  password: text,
  as: text,
  'as-uid': text,
  'as-groups': z.array(z.string()).nullish(),
  'as-user-extra': z.record(z.string(), z.array(z.string())).nullish(),
  exec: z
    .object({
      apiVersion: z.string().min(1),
      command: z.string().min(1),
      args: z.array(z.string()).nullish(),
      env: z.array(z.object({ name: z.string(), value: z.string() })).nullish(),
    })
    .nullish(),
  'auth-provider': z.object({ name: z.string() }).nullish(),
})
const named = <K extends string, T extends z.ZodType>(key: K, value: T) =>
  z
    .array(z.object({ name: z.string(), [key]: value } as { name: z.ZodString } & Record<K, T>))
    .nullish()
    .transform((list) => list ?? [])
const kubeconfigSchema = z.object({
  'current-context': z.string().nullish(),
  clusters: named('cluster', clusterSchema),
  users: named('user', userSchema.nullish()),
  contexts: named('context', z.object({ cluster: z.string(), user: z.string().nullish() })),
})

/** Of the file, or else as kubectl does: KUBECONFIG, ~/.kube/config, the pod's service account. @throws SettingsError */
export function clusterAccess(
  kubeconfigFile: string | undefined,
  env: Environment,
  serviceAccount = '/var/run/secrets/kubernetes.io/serviceaccount',
): ClusterAccess {
  const given = kubeconfigFile ?? env['KUBECONFIG']
  if (given !== undefined && given !== '') return accessFromFile(given)
  const usual = join(env['HOME'] ?? '/', '.kube/config')
  if (existsSync(usual)) return accessFromFile(usual)
  if (existsSync(join(serviceAccount, 'token'))) return accessFromServiceAccount(serviceAccount, env)
  throw noCluster()
}

function accessFromServiceAccount(directory: string, env: Environment): ClusterAccess {
  const host = env['KUBERNETES_SERVICE_HOST']
  const port = env['KUBERNETES_SERVICE_PORT']
  if (host === undefined || port === undefined) throw noCluster()
  return {
    ...nothing,
    server: new URL(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`),
    authority: { file: join(directory, 'ca.crt') },
    token: { file: join(directory, 'token') },
  }
}

function accessFromFile(file: string): ClusterAccess {
  try {
    return accessOf(kubeconfigSchema.parse(parsed(readFileSync(file, 'utf8'))), dirname(resolve(file)))
  } catch (error) {
    if (error instanceof SettingsError) throw error
    const what = error instanceof z.ZodError ? z.prettifyError(error).replaceAll(/\s*\n\s*/g, ' ') : messageOf(error)
    throw new SettingsError(`KUBECONFIG: ${file}: ${what}`, { cause: error })
  }
}

/** JSON is YAML. The parser of the rest is loaded only where it is needed: in a pod there is no kubeconfig. */
function parsed(source: string): unknown {
  try {
    return JSON.parse(source)
  } catch {
    const yaml = createRequire(import.meta.url)('yaml') as typeof import('yaml')
    try {
      return yaml.parse(source)
    } catch (error) {
      // oxlint-disable-next-line eslint/preserve-caught-error -- it quotes the line, which may hold a token
      throw new Error(`it is not YAML${lineOf(error)}`)
    }
  }
}

function lineOf(error: unknown): string {
  const { linePos, code } = error as Partial<import('yaml').YAMLParseError>
  return linePos === undefined ? '' : `: line ${linePos[0].line} (${code})`
}

function accessOf(config: z.output<typeof kubeconfigSchema>, directory: string): ClusterAccess {
  const byName = <T extends { readonly name: string }>(list: readonly T[], name: string | null | undefined) =>
    list.find((one) => one.name === name)
  const context = byName(config.contexts, config['current-context'])?.context
  const cluster = byName(config.clusters, context?.cluster)?.cluster
  if (context === undefined || cluster === undefined) throw noCluster()
  const user = byName(config.users, context.user)?.user ?? userSchema.parse({})
  refuseUnsupported(cluster, user)
  return {
    server: new URL(cluster.server),
    authority: material(cluster, 'certificate-authority', directory),
    verifyServer: cluster['insecure-skip-tls-verify'] !== true,
    serverName: cluster['tls-server-name'],
    proxy: cluster['proxy-url'],
    certificate: material(user, 'client-certificate', directory),
    key: material(user, 'client-key', directory),
    token: tokenOf(user, directory),
    basic: user.username ? { username: user.username, password: user.password ?? '' } : undefined,
    exec: user.exec ? execOf(user.exec, directory) : undefined,
    impersonate: user.as,
  }
}

function refuseUnsupported(cluster: z.output<typeof clusterSchema>, user: z.output<typeof userSchema>): void {
  const provider = user['auth-provider']
  if (provider)
    throw new SettingsError(
      `KUBECONFIG: auth-provider ${provider.name} is not supported: use exec, token or a certificate`,
    )
  if (user['as-uid'] || user['as-groups']?.length || Object.keys(user['as-user-extra'] ?? {}).length > 0)
    throw new SettingsError('KUBECONFIG: as-uid, as-groups and as-user-extra are not supported: use as alone')
  // There may be a password in the URL.
  if (cluster['proxy-url'] && !/^https?:\/\//.test(cluster['proxy-url']))
    throw new SettingsError('KUBECONFIG: proxy-url is not supported: it must be an http or https proxy')
  // A token would go in clear.
  if (cluster.server.startsWith('http:') && cluster['insecure-skip-tls-verify'] !== true)
    throw new SettingsError('KUBECONFIG: a server without TLS is used only where insecure-skip-tls-verify says so')
}

/** What stands in the kubeconfig is preferred to a file, as client-go does. */
function material<K extends string>(
  of: { readonly [name in K | `${K}-data`]?: string | null | undefined },
  name: K,
  directory: string,
): Material | undefined {
  const data = of[`${name}-data`]
  if (data) return { text: Buffer.from(data, 'base64').toString() }
  const file = of[name]
  return file ? { file: resolve(directory, file) } : undefined
}

/** A file is preferred, as client-go does: it is the one that can be renewed. */
function tokenOf({ token, tokenFile }: z.output<typeof userSchema>, directory: string): Material | undefined {
  if (tokenFile) return { file: resolve(directory, tokenFile) }
  return token ? { text: token } : undefined
}

/** A command with a slash in it is relative to the kubeconfig, any other is looked for in PATH (clientcmd/loader.go). */
function execOf(exec: NonNullable<z.output<typeof userSchema>['exec']>, directory: string): ExecPlugin {
  return {
    apiVersion: exec.apiVersion,
    command: exec.command.includes('/') ? resolve(directory, exec.command) : exec.command,
    args: exec.args ?? [],
    env: exec.env ?? [],
  }
}

const nothing: Omit<ClusterAccess, 'server'> = {
  authority: undefined,
  verifyServer: true,
  serverName: undefined,
  proxy: undefined,
  certificate: undefined,
  key: undefined,
  token: undefined,
  basic: undefined,
  exec: undefined,
  impersonate: undefined,
}

function noCluster(): SettingsError {
  return new SettingsError('no cluster to talk to: set KUBECONFIG, or run in a pod with a service account')
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
