// 1,000 pods at once, for each of which an ENI has to be attached, on 200 nodes over an EC2 that does everything at once and without
// limits: the real scheduler, extender and attacher; kubelets and device plugins are those of the fleet. Counted from just before the
// first pod is posted to the last Binding (audit log).
import { setTimeout as delay } from 'node:timers/promises'

import { accountFor, type InstallationNode, network } from '../../sim/installation/account.ts'
import { type SimulatedEc2, startEc2 } from '../../sim/ec2/start-ec2.ts'
import { type RunningFleet, startFleet } from '../../sim/fleet/start-fleet.ts'
import { apiVersion, capacityAnnotation } from '../../src/api/names.ts'
import { ec2Actions } from '../../src/attacher/ec2-action.ts'
import { nodeENIsPath, nodePath } from '../../src/kube/resource.ts'
import { type Summary, summary } from '../quantiles.ts'
import { AuditWindow, bindingTimesOf, writerOf, writesOf } from '../../sim/cluster/audit-window.ts'
import { addNamespace, namespace, resource } from './bench-fleet.ts'
import { ExtenderStatus } from './extender-status.ts'
import { noPod, unbound } from './pod-waits.ts'
import { withExtender } from './scheduler-set-ups.ts'

const boundDeadlineMs = 300_000
const pollMs = 250
/** More than is ever used: EC2 sets no limits here, and neither is the attacher to. */
const unlimited = { tokens: 100_000, perSecond: 10_000 }
const zone = 'eu-west-1a'
const instanceType = 'm5.4xlarge'

export interface BurstPlan {
  readonly nodes: number
  readonly pods: number
}

export interface Burst extends BurstPlan {
  readonly seconds: number
  /** Milliseconds from the beginning to each Binding. */
  readonly bound: Summary
  /** Of all that is not ours to leave out: creation of the pods, and their kubelets' writes, are not counted. */
  readonly writesPerPod: number
  readonly writes: ReadonlyMap<string, number>
  /** Of the extender, as its /metrics say it; an idle loop shows the 10 ms at which it is looked at. */
  readonly loopP99Ms: number
}

export class BurstFleet {
  readonly running: RunningFleet
  readonly #ec2: SimulatedEc2

  static async start({ nodes }: BurstPlan, log: (line: string) => void, signal: AbortSignal): Promise<BurstFleet> {
    const instances = Array.from({ length: nodes }, (_, index): InstallationNode => {
      return { name: `node-${index}`, zone: 'a', instanceType }
    })
    const ec2 = await startEc2({ world: accountFor(instances) })
    try {
      const running = await startFleet({
        nodes,
        shape: { zones: [zone], instanceType, devices: { [resource]: 0 } },
        controlPlane: { audit: 'writes' },
        kubelets: 'present',
        code: 'dist',
        log,
        signal,
      })
      return new BurstFleet(running, ec2)
    } catch (error) {
      await ec2.stop()
      throw error
    }
  }

  private constructor(running: RunningFleet, ec2: SimulatedEc2) {
    this.running = running
    this.#ec2 = ec2
  }

  programs(): ReturnType<RunningFleet['programs']> {
    return this.running.programs()
  }

  async stop(): Promise<void> {
    await this.running.stop()
    await this.#ec2.stop()
  }

  async measure({ nodes, pods }: BurstPlan, signal: AbortSignal): Promise<Burst> {
    const { running } = this
    const { api, fleet, cluster } = running
    const { tokens, perSecond } = unlimited
    await addNamespace(running)
    await running.startAttacher(this.#ec2, {
      JIT_ENI_EC2_SHARE: '1',
      JIT_ENI_CONCURRENCY: '1000',
      JIT_ENI_EC2_QUOTAS: ec2Actions.map((action) => `${action}=${tokens}/${perSecond}`).join(','),
    })
    await this.#serveResource(signal)
    const status = await ExtenderStatus.onFreePort()
    const extender = await running.startExtender(status.env)
    await status.ready(signal)
    await running.startScheduler(withExtender(extender.url))
    // Each look begins it anew.
    await status.metric('nodejs_eventloop_lag_p99_seconds')
    const window = await AuditWindow.open(cluster.auditLog)
    const startedAt = Date.now()
    const names = Array.from({ length: pods }, (_, n) => `jit-${n}`)
    await fleet.addPods({ namespace, names, limits: { [resource]: '1' } })
    await noPod(api, namespace, unbound, boundDeadlineMs)
    const loopP99Ms = (await status.metric('nodejs_eventloop_lag_p99_seconds')) * 1_000
    await noPod(api, namespace, 'status.phase!=Running', boundDeadlineMs)
    const events = await window.events()
    const times = bindingTimesOf(events, namespace).map((at) => at - startedAt)
    const counted = events.filter((event) => isOfTheWay(event))
    return {
      nodes,
      pods,
      seconds: (times.at(-1) ?? Number.NaN) / 1_000,
      bound: summary(times),
      writesPerPod: counted.length / pods,
      writes: writesOf(events),
      loopP99Ms,
    }
  }

  /** Resolves when the attacher has found the NodeENI good, and has written every node's capacity. */
  async #serveResource(signal: AbortSignal): Promise<void> {
    const { api, fleet } = this.running
    const spec = {
      nodeSelector: fleet.shape.labels,
      subnetID: network.userPlaneSubnet,
      securityGroupIDs: [network.userPlaneGroup],
      enableDPDK: true,
      dpdkResourceName: resource,
    }
    const metadata = { name: 'user-plane' }
    await api.request('POST', nodeENIsPath, { body: { apiVersion, kind: 'NodeENI', metadata, spec } })
    for (const { name } of fleet.nodes) {
      while (!(await this.#hasCapacity(name))) await delay(pollMs, undefined, { signal })
    }
  }

  async #hasCapacity(nodeName: string): Promise<boolean> {
    const { metadata } = await this.running.api.request<{ metadata: { annotations?: Record<string, string> } }>(
      'GET',
      nodePath(nodeName),
    )
    return metadata.annotations?.[capacityAnnotation] !== undefined
  }
}

/** What any cluster writes for a pod, whoever schedules it, is left out: the pod itself, its kubelet's status, events. */
function isOfTheWay(event: Parameters<typeof writerOf>[0]): boolean {
  const { resource: kind } = event.objectRef
  if (kind === 'events' || kind === 'leases') return false
  return !(writerOf(event) === 'nodes and bench' && kind === 'pods')
}

export function burstKeys({ seconds, writesPerPod, loopP99Ms }: Burst): Readonly<Record<string, number>> {
  return { burst_1000_seconds: seconds, burst_writes_per_pod: writesPerPod, burst_loop_p99_ms: loopP99Ms }
}

export function burstReport({ writes, pods, writesPerPod, loopP99Ms, seconds, nodes }: Burst): string {
  const lines = [...writes].map(([what, count]) => `${(count / pods).toFixed(2).padStart(8)}  ${what}`)
  return [
    `${pods} pods on ${nodes} nodes bound after ${seconds.toFixed(2)} s; event loop delay p99 ${loopP99Ms.toFixed(1)} ms`,
    `${writesPerPod.toFixed(2)} API writes for each pod on its way, of these in all:`,
    ...lines,
  ].join('\n')
}
