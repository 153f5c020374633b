// A running cluster: what tests, the demo and the benchmarks do with it.
import path from 'node:path'
import type { ControlPlane } from './control-plane/control-plane.ts'
import type { Scheduler, SchedulerOptions } from './control-plane/scheduler.ts'
import type { ClusterNode } from './node/cluster-node.ts'
import { runCommand } from './run-command.ts'
import { requestToken, type ServiceAccountRef } from './service-account-token.ts'

export interface ClusterParts {
  readonly runDir: string
  readonly controlPlane: ControlPlane
  readonly nodes: readonly ClusterNode[]
  readonly kubectlBinary: string
  readonly env: NodeJS.ProcessEnv
  readonly undo: AsyncDisposableStack
}

export class Cluster {
  /** Everything of the cluster is in here: logs, kubeconfigs, the nodes' directories. */
  readonly runDir: string
  readonly server: string
  readonly caFile: string
  readonly adminKubeconfig: string
  /** One JSON line per created Binding and per write of an ENIAttachment. */
  readonly auditLog: string
  readonly nodes: readonly ClusterNode[]
  readonly #parts: ClusterParts
  #stopped: Promise<void> | undefined

  constructor(parts: ClusterParts) {
    const { controlPlane } = parts
    this.#parts = parts
    this.runDir = parts.runDir
    this.nodes = parts.nodes
    this.server = controlPlane.address.server
    this.caFile = controlPlane.address.caFile
    this.adminKubeconfig = controlPlane.adminKubeconfig
    this.auditLog = controlPlane.auditLog
  }

  node(name: string): ClusterNode {
    const node = this.nodes.find((candidate) => candidate.name === name)
    if (node === undefined) throw new Error(`the cluster has no node ${name}`)
    return node
  }

  /** What kubectl writes to standard output, run as the administrator. */
  async kubectl(
    args: readonly string[],
    options: { readonly input?: string; readonly signal?: AbortSignal } = {},
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

  /** One more kube-scheduler, beside the ordinary one that is running already. */
  async startScheduler(options: SchedulerOptions): Promise<Scheduler> {
    return this.#parts.controlPlane.startScheduler(options)
  }

  async killApiServer(): Promise<void> {
    await this.#parts.controlPlane.killApiServer()
  }

  async startApiServer(): Promise<void> {
    await this.#parts.controlPlane.startApiServer()
  }

  async restartApiServer(): Promise<void> {
    await this.#parts.controlPlane.restartApiServer()
  }

  /** Removes every trace. May be called again, and from a signal handler. */
  async stop(): Promise<void> {
    this.#stopped ??= this.#parts.undo.disposeAsync()
    await this.#stopped
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  /** Path of a log file of the control plane: `etcd`, `kube-apiserver`, `kube-scheduler`, ... */
  logFile(component: string): string {
    return path.join(this.runDir, `${component}.log`)
  }
}
