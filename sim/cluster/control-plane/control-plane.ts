// etcd, kube-apiserver, kube-controller-manager and the ordinary kube-scheduler, as a real cluster runs them.
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import type { AddressBlock } from '../address-block.ts'
import { ApiClient } from '../api-client.ts'
import type { BinaryDirs } from '../binaries/obtain.ts'
import { Component } from '../component.ts'
import { writeKubeconfig, type ApiServerAddress } from '../kubeconfig.ts'
import { auditPolicy } from './audit-policy.ts'
import type { Credentials, User } from './credentials.ts'
import {
  apiServerArgs,
  controllerManagerArgs,
  type ControlPlaneProfile,
  featureGateArgs,
  hasDefaultScheduler,
} from './profile.ts'
import { Scheduler, type SchedulerOptions } from './scheduler.ts'

// The cluster IP of the service `kubernetes` is reached without a kube-proxy only when the ports agree too.
const apiServerPort = 443
const etcdPort = 2379
const etcdPeerPort = 2380
const firstSchedulerPort = 10259
const controllerManagerRequestsPerSecond = 1_000
const readyDeadlineMs = 60_000

export interface ControlPlaneOptions {
  readonly runDir: string
  readonly addresses: AddressBlock
  readonly binaries: BinaryDirs
  readonly credentials: Credentials
  readonly env: NodeJS.ProcessEnv
  readonly profile: ControlPlaneProfile
}

export class ControlPlane {
  readonly auditLog: string
  readonly address: ApiServerAddress
  readonly adminKubeconfig: string
  readonly api: ApiClient
  readonly #options: ControlPlaneOptions
  #etcd: Component | undefined
  #apiServer: Component | undefined
  #controllerManager: Component | undefined
  readonly #schedulers: Scheduler[] = []

  constructor(options: ControlPlaneOptions) {
    const { runDir, addresses, credentials } = options
    this.#options = options
    this.auditLog = path.join(runDir, 'audit.log')
    this.address = {
      server: `https://${addresses.apiServer}:${apiServerPort}`,
      // The API server makes this certificate at its first start; the file ends with the CA that signed it.
      caFile: path.join(runDir, 'certificates', 'apiserver.crt'),
    }
    this.api = new ApiClient(this.address, credentials.admin.token)
    this.adminKubeconfig = this.kubeconfigFor(credentials.admin)
  }

  kubeconfigFor(user: Pick<User, 'name' | 'token'>): string {
    return writeKubeconfig(this.#options.runDir, this.address, user)
  }

  /** etcd and the API server: all that the kubelets wait for. Resolves when the API server answers. */
  async start(signal?: AbortSignal): Promise<void> {
    this.#startEtcd()
    await this.startApiServer(signal)
  }

  /** Also starts it again after `killApiServer`. */
  async startApiServer(signal?: AbortSignal): Promise<void> {
    const { credentials, addresses, runDir, profile } = this.#options
    const policyFile = path.join(runDir, 'audit-policy.json')
    writeFileSync(policyFile, JSON.stringify(auditPolicy(profile)))
    this.#apiServer = this.#component('kube-apiserver', 'kubernetes', [
      `--etcd-servers=${this.#etcdUrl(etcdPort)}`,
      `--bind-address=${addresses.apiServer}`,
      `--secure-port=${apiServerPort}`,
      `--cert-dir=${path.dirname(this.address.caFile)}`,
      `--service-cluster-ip-range=${addresses.serviceRange}`,
      // There is one API server, and nothing reads the endpoints of the service `kubernetes`.
      '--endpoint-reconciler-type=none',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${credentials.verificationKeyFile}`,
      `--service-account-signing-key-file=${credentials.signingKeyFile}`,
      '--service-account-extend-token-expiration=false',
      `--token-auth-file=${credentials.tokenFile}`,
      '--authorization-mode=Node,RBAC',
      '--enable-admission-plugins=NodeRestriction',
      '--allow-privileged=true',
      '--kubelet-preferred-address-types=InternalIP',
      `--kubelet-client-certificate=${credentials.kubeletClient.certificateFile}`,
      `--kubelet-client-key=${credentials.kubeletClient.keyFile}`,
      `--audit-policy-file=${policyFile}`,
      `--audit-log-path=${this.auditLog}`,
      '--profiling=false',
      ...apiServerArgs(profile),
    ])
    await this.#apiServer.waitUntil('ready', () => this.api.ready(), readyDeadlineMs, signal)
  }

  /** A crash: connections break, watches end, etcd keeps everything. */
  async killApiServer(): Promise<void> {
    await this.#apiServer?.kill()
  }

  /** Resolves when it has made the first service account, without which no pod can be created. */
  async startControllerManager(signal?: AbortSignal): Promise<void> {
    const { credentials, addresses, runDir, profile } = this.#options
    this.#controllerManager = this.#component('kube-controller-manager', 'kubernetes', [
      `--kubeconfig=${this.kubeconfigFor(credentials.controllerManager)}`,
      '--use-service-account-credentials=true',
      `--service-account-private-key-file=${credentials.signingKeyFile}`,
      `--root-ca-file=${this.address.caFile}`,
      `--bind-address=${addresses.loopback}`,
      '--leader-elect=false',
      // It asks for some forty service account tokens at its start: at its default rate new nodes would
      // keep their taint for four seconds, for no other reason.
      `--kube-api-qps=${controllerManagerRequestsPerSecond}`,
      `--kube-api-burst=${controllerManagerRequestsPerSecond}`,
      // A node that it first sees a moment before it is Ready keeps a taint until the next look, 5 s by default.
      '--node-monitor-period=1s',
      // The default is a directory of the machine.
      `--flex-volume-plugin-dir=${path.join(runDir, 'volume-plugins')}`,
      ...controllerManagerArgs(profile),
    ])
    const working = () =>
      this.api.json('GET', '/api/v1/namespaces/default/serviceaccounts/default').then(
        () => true,
        () => false,
      )
    await this.#controllerManager.waitUntil('working', working, readyDeadlineMs, signal)
  }

  /** The scheduler of pods that name no other, where the profile has one. */
  async startDefaultScheduler(signal?: AbortSignal): Promise<void> {
    if (!hasDefaultScheduler(this.#options.profile)) return
    const configFile = path.join(this.#options.runDir, 'default-scheduler.json')
    const config = {
      apiVersion: 'kubescheduler.config.k8s.io/v1',
      kind: 'KubeSchedulerConfiguration',
      leaderElection: { leaderElect: false },
    }
    writeFileSync(configFile, JSON.stringify(config))
    const kubeconfig = this.kubeconfigFor(this.#options.credentials.scheduler)
    await this.startScheduler({ config: configFile, kubeconfig }, signal)
  }

  async startScheduler(options: SchedulerOptions, signal?: AbortSignal): Promise<Scheduler> {
    const { runDir, addresses, binaries, env, profile } = this.#options
    const ordinal = this.#schedulers.length
    const scheduler = new Scheduler({
      ...options,
      name: ordinal === 0 ? 'kube-scheduler' : `kube-scheduler-${ordinal}`,
      binary: path.join(binaries.kubernetes, 'kube-scheduler'),
      address: addresses.loopback,
      port: firstSchedulerPort + ordinal,
      runDir,
      env,
      args: featureGateArgs(profile),
    })
    this.#schedulers.push(scheduler)
    await scheduler.start(signal)
    return scheduler
  }

  /** Everything at once and without grace: nothing of it is needed afterwards. */
  async stop(): Promise<void> {
    this.api.close()
    await Promise.all([
      ...this.#schedulers.map((scheduler) => scheduler.kill()),
      this.#controllerManager?.kill(),
      this.#apiServer?.kill(),
      this.#etcd?.kill(),
    ])
  }

  #startEtcd(): void {
    const { runDir } = this.#options
    this.#etcd = this.#component('etcd', 'etcd', [
      `--data-dir=${path.join(runDir, 'etcd')}`,
      `--listen-client-urls=${this.#etcdUrl(etcdPort)}`,
      `--advertise-client-urls=${this.#etcdUrl(etcdPort)}`,
      `--listen-peer-urls=${this.#etcdUrl(etcdPeerPort)}`,
      `--initial-advertise-peer-urls=${this.#etcdUrl(etcdPeerPort)}`,
      `--initial-cluster=default=${this.#etcdUrl(etcdPeerPort)}`,
      // The data lives as long as the cluster: a crash of the machine ends both.
      '--unsafe-no-fsync',
    ])
  }

  #etcdUrl(port: number): string {
    return `http://${this.#options.addresses.loopback}:${port}`
  }

  #component(name: string, group: keyof BinaryDirs, args: readonly string[]): Component {
    const { binaries, env, runDir } = this.#options
    const command = path.join(binaries[group], name)
    return new Component({ name, command, args, env, logFile: path.join(runDir, `${name}.log`) })
  }
}
