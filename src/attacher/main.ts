// The attacher: the only program that calls EC2. Leader-elected; makes, attaches, releases and collects ENIs.
import { collectDefaultMetrics } from 'prom-client'

import { Cluster } from '../kube/cluster.ts'
import { EventRecorder } from '../kube/event-recorder.ts'
import { LeaderLease, leaseTiming } from '../kube/leader-lease.ts'
import { realClock } from '../process/clock.ts'
import { runProgram, runTogether } from '../process/lifecycle.ts'
import { createLog } from '../process/log.ts'
import { SettingsError } from '../process/settings.ts'
import { serveStatus } from '../process/status-server.ts'
import { Controllers } from './controllers.ts'
import type { Ec2Access } from './ec2.ts'
import { Ec2SdkClient } from './ec2-client.ts'
import { Ec2Connection } from './ec2-connection.ts'
import { Ec2Gate } from './ec2-gate.ts'
import { Ec2Limiter } from './ec2-limiter.ts'
import { AttacherMetrics } from './metrics.ts'
import { attacherSettings } from './settings.ts'

const log = createLog('attacher', process.env['LOG_LEVEL'])

await runProgram(log, async (signal) => {
  const settings = attacherSettings(process.env)
  const metrics = new AttacherMetrics()
  collectDefaultMetrics({ register: metrics.registry })
  const limiter = new Ec2Limiter({ clock: realClock, ...settings.ec2 })
  const gate = new Ec2Gate(realClock)
  const observer = metrics.ec2Observer
  const connection = new Ec2Connection({ limiter, gate, clock: realClock, observer, ...settings.ec2 })
  const ec2: Ec2Access = (urgency, term) => new Ec2SdkClient(connection, urgency, term)
  await connection.checkRegion().catch((error: unknown) => {
    const detail = error instanceof Error ? error.message : String(error)
    throw new SettingsError(`AWS region (AWS_REGION): ${detail}`)
  })
  const cluster = new Cluster(settings.kubeconfig)
  const events = new EventRecorder(cluster, 'jit-eni-attacher', log)
  const controllers = new Controllers({ cluster, ec2, gate, events, settings, metrics, clock: realClock, log })
  const { namespace, identity, statusListen } = settings
  const leaderLease = new LeaderLease(cluster, { name: 'jit-eni-attacher', ...leaseTiming, namespace, identity }, log)
  const status = {
    metrics: metrics.registry,
    // Every request has a deadline, and a loop that ends, or a lost lease, ends the process: there is nothing to restart it for.
    unhealthy: () => undefined,
    // A standby is ready as soon as it could take over.
    notReady: () => leaderLease.trouble ?? controllers.notReady,
  }
  await runTogether(signal, [
    (stop) =>
      leaderLease.run(stop, async (term) => {
        metrics.leader.set(1)
        await controllers.run(term)
      }),
    ...(statusListen === undefined ? [] : [(stop: AbortSignal) => serveStatus(status, statusListen, stop)]),
  ])
})
