// A running cluster: what tests, the demo and the benchmarks do with it.
import type { CleanUp } from './clean-up.ts'
import type { ControlPlane } from './control-plane/control-plane.ts'
import type { RunningScheduler, SchedulerOptions } from './control-plane/scheduler.ts'
import type { ClusterNode } from './node/cluster-node.ts'
import type { GuestNode } from './node/guest-node.ts'
import { runCommand } from './run-command.ts'
import { requestToken, type ServiceAccountRef } from './service-account-token.ts'

export interface ClusterParts {
  readonly runDir: string
  readonly controlPlane: ControlPlane
  readonly nodes: readonly ClusterNode[]
  readonly guests: readonly GuestNode[]
  readonly kubectlBinary: string
  readonly env: NodeJS.ProcessEnv
  readonly cleanUp: CleanUp
}

export class Cluster {
  /** Everything of the cluster is in here: logs, kubeconfigs, the nodes' directories. */
  readonly runDir: string
  readonly server: string
  readonly adminKubeconfig: string
  /** One JSON line per created Binding and per write of an ENIAttachment, or per write of anything (ControlPlaneProfile). */
  readonly auditLog: string
  /** In namespaces of this machine. */
  readonly nodes: readonly ClusterNode[]
  /** In virtual machines. */
  readonly guests: readonly GuestNode[]
  readonly #parts: ClusterParts

  constructor(parts: ClusterParts) {
    const { controlPlane } = parts
    this.#parts = parts
    this.runDir = parts.runDir
    this.nodes = parts.nodes
    this.guests = parts.guests
    this.server = controlPlane.address.server
    this.adminKubeconfig = controlPlane.adminKubeconfig
    this.auditLog = controlPlane.auditLog
  }

  node(name: string): ClusterNode {
    return named(this.nodes, name)
  }

  guest(name: string): GuestNode {
    return named(this.guests, name)
  }

  /** What kubectl writes to standard output, run as the administrator. */
  async kubectl(
    args: readonly string[],
    options: { readonly input?: string; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<string> {
    const { kubectlBinary, env } = this.#parts
    const administrator = ['--kubeconfig', this.adminKubeconfig]
    return runCommand(kubectlBinary, [...administrator, ...args], { env, ...options })
  }

  /** Path of the kubectl that fits the cluster, for the reader of a demo. */
  get kubectlBinary(): string {
    return this.#parts.kubectlBinary
  }

  kubeconfigFor(user: { readonly name: string; readonly token: string }): string {
    return this.#parts.controlPlane.kubeconfigFor(user)
  }

  async serviceAccountKubeconfig(account: ServiceAccountRef): Promise<string> {
    const { namespace, name, boundNode } = account
    const token = await requestToken(this.#parts.controlPlane.api, account)
    const user = [namespace, name, boundNode].filter((part) => part !== undefined).join('.')
    return this.kubeconfigFor({ name: user, token })
  }

  /** One more kube-scheduler, beside those that are running already. Resolves when its caches are filled. */
  startScheduler(options: SchedulerOptions, signal?: AbortSignal): Promise<RunningScheduler> {
    return this.#parts.controlPlane.startScheduler(options, signal)
  }

  async killApiServer(): Promise<void> {
    await this.#parts.controlPlane.killApiServer()
  }

  async startApiServer(): Promise<void> {
    await this.#parts.controlPlane.startApiServer()
  }

  /** Removes every trace, or throws LeftBehind. May be called again. */
  async stop(): Promise<void> {
    await this.#parts.cleanUp.run()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

function named<T extends { readonly name: string }>(nodes: readonly T[], name: string): T {
  const node = nodes.find((candidate) => candidate.name === name)
  if (node === undefined) throw new Error(`the cluster has no node ${name}`)
  return node
}
