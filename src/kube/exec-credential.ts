// Credentials from a command that the kubeconfig names, such as `aws eks get-token`: the protocol of
// https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { z } from 'zod'

import type { Clock } from '../process/clock.ts'
import type { Environment, ExecPlugin } from './kubeconfig.ts'

const commandDeadlineMs = 30_000
const outputMaxBytes = 1024 * 1024
/** Of the command's own words in an error. */
const saidMaxLength = 500
/** So long before its end a credential is not used any more: it must outlast the request. */
const spareMs = 60_000

const credentialSchema = z.object({
  kind: z.literal('ExecCredential'),
  status: z.object({
    token: z.string().optional(),
    clientCertificateData: z.string().optional(),
    clientKeyData: z.string().optional(),
    expirationTimestamp: z.iso.datetime({ offset: true }).optional(),
  }),
})

export type ExecStatus = z.output<typeof credentialSchema>['status']

export class ExecCredential {
  readonly #plugin: ExecPlugin
  readonly #env: Environment
  readonly #clock: Pick<Clock, 'now'>
  /** One run serves all who wait for it. */
  #current: Promise<ExecStatus> | undefined
  #given: ExecStatus | undefined
  #endsAt = Infinity

  constructor(plugin: ExecPlugin, env: Environment, clock: Pick<Clock, 'now'>) {
    this.#plugin = plugin
    this.#env = env
    this.#clock = clock
  }

  async get(): Promise<ExecStatus> {
    if (this.#clock.now() >= this.#endsAt - spareMs) this.#drop()
    this.#current ??= this.#run()
    return this.#current
  }

  /** Run the command again next time, unless it was since: of many requests that are refused at once the first is enough. */
  forget(refused: ExecStatus): void {
    if (refused === this.#given) this.#drop()
  }

  #drop(): void {
    this.#current = undefined
    this.#given = undefined
    this.#endsAt = Infinity
  }

  #run(): Promise<ExecStatus> {
    const running = runPlugin(this.#plugin, this.#env)
    running.then(
      (given) => {
        if (this.#current !== running) return
        this.#given = given
        if (given.expirationTimestamp !== undefined) this.#endsAt = Date.parse(given.expirationTimestamp)
      },
      () => {
        if (this.#current === running) this.#drop()
      },
    )
    return running
  }
}

/** What the command prints is a secret: no error quotes it. */
async function runPlugin(plugin: ExecPlugin, env: Environment): Promise<ExecStatus> {
  const { apiVersion, command, args } = plugin
  const asked = { apiVersion, kind: 'ExecCredential', spec: { interactive: false } }
  const own = Object.fromEntries(plugin.env.map(({ name, value }) => [name, value]))
  const options = {
    env: { ...env, ...own, KUBERNETES_EXEC_INFO: JSON.stringify(asked) },
    timeout: commandDeadlineMs,
    // One that takes no notice of SIGTERM would be waited for for ever.
    killSignal: 'SIGKILL' as const,
    maxBuffer: outputMaxBytes,
  }
  const running = promisify(execFile)(command, args, options)
  // Nobody is there to answer what it may ask. One that ends without reading is no fault.
  running.child.stdin?.on('error', () => undefined).end()
  const { stdout } = await running.catch((error: unknown) => {
    const { code, killed, stderr } = error as { code?: unknown; killed?: boolean; stderr?: string }
    const how = killed === true ? `did not end within ${commandDeadlineMs / 1000} s` : `failed (${String(code)})`
    throw new Error(`credential command ${command} ${how}: ${(stderr ?? '').trim().slice(0, saidMaxLength)}`)
  })
  const credential = credentialSchema.safeParse(jsonOf(stdout))
  if (!credential.success) throw new Error(`credential command ${command} printed no ExecCredential`)
  return credential.data.status
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
