// The scheduler extender: steers pods to nodes that have, or can get, their ENI, and binds them when it is there.
import { Cluster } from '../kube/cluster.ts'
import { realClock } from '../process/clock.ts'
import { runProgram, runTogether } from '../process/lifecycle.ts'
import { createLog } from '../process/log.ts'
import { serveStatus } from '../process/status-server.ts'
import { Binder } from './bind.ts'
import { LedgerFeed } from './ledger-feed.ts'
import { Ledger } from './ledger.ts'
import { ExtenderMetrics } from './metrics.ts'
import { ExtenderServer } from './server.ts'
import { extenderSettings } from './settings.ts'
import { WakeUp } from './wake-up.ts'

const log = createLog('extender', process.env['LOG_LEVEL'])

await runProgram(log, async (signal) => {
  const settings = extenderSettings(process.env)
  const { resources: managed, statusListen } = settings
  const cluster = new Cluster(settings.kubeconfig)
  const ledger = new Ledger()
  const metrics = new ExtenderMetrics()
  const feed = new LedgerFeed({ cluster, ledger, managed, log, clock: realClock })

  const status = {
    metrics: metrics.registry,
    // A process that hangs does not answer at all.
    unhealthy: () => undefined,
    notReady: () => feed.notReady,
  }
  const wakeUp = new WakeUp(cluster, ledger, realClock, log)
  const binder = new Binder(cluster, ledger, managed, realClock, log)
  const server = new ExtenderServer({ ledger, binder, wakeUp, managed, notReady: status.notReady, metrics, log })

  await runTogether(signal, [
    (stop) => feed.run(stop),
    (stop) => wakeUp.run(stop),
    (stop) => server.run(settings.listen, stop),
    ...(statusListen === undefined ? [] : [(stop: AbortSignal) => serveStatus(status, statusListen, stop)]),
  ])
})
