// The attacher: the only program that calls EC2. Leader-elected; makes, attaches, releases and collects ENIs.
import { Cluster } from '../kube/cluster.ts'
import { EventRecorder } from '../kube/event-recorder.ts'
import { LeaderLease } from '../kube/leader-lease.ts'
import { realClock } from '../process/clock.ts'
import { runProgram, runTogether } from '../process/lifecycle.ts'
import { createLog } from '../process/log.ts'
import { SettingsError } from '../process/settings.ts'
import { serveStatus } from '../process/status-server.ts'
import { Controllers } from './controllers.ts'
import { Ec2SdkClient } from './ec2-client.ts'
import { AttacherMetrics } from './metrics.ts'
import { attacherSettings } from './settings.ts'

const lease = { name: 'jit-eni-attacher', durationMs: 15_000, retryMs: 2_000 }

const log = createLog('attacher', process.env['LOG_LEVEL'])

await runProgram(log, async (signal) => {
  const settings = attacherSettings(process.env)
  const metrics = new AttacherMetrics()
  const ec2 = new Ec2SdkClient((action, outcome, seconds) =>
    metrics.ec2CallSeconds.observe({ action, outcome }, seconds),
  )
  await ec2.checkCredentials().catch((error: unknown) => {
    const detail = error instanceof Error ? error.message : String(error)
    throw new SettingsError(`AWS region and credentials (AWS_REGION, a role or AWS_ACCESS_KEY_ID): ${detail}`)
  })
  const cluster = new Cluster(settings.kubeconfig)
  const events = new EventRecorder(cluster, 'jit-eni-attacher', log)
  const controllers = new Controllers({ cluster, ec2, events, settings, clock: realClock, log })
  const { namespace, identity, statusListen } = settings
  const leaderLease = new LeaderLease(cluster, { ...lease, namespace, identity }, log)
  const status = {
    metrics: metrics.registry,
    unhealthy: () => undefined,
    // A standby is ready too: it is there to take over.
    notReady: () => undefined,
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
