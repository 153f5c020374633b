// The process of a node simulator: node-simulator.ts says what it models and what not. A process of its own, so that it takes nothing
// from the event loop of whoever measures.
import { Cluster } from '../../src/kube/cluster.ts'
import { realClock } from '../../src/process/clock.ts'
import { runProgram } from '../../src/process/lifecycle.ts'
import { createLog } from '../../src/process/log.ts'
import { NodeSimulator } from './node-simulator.ts'
import { commandSchema, settingsVariable, simulatorSettingsSchema } from './simulator-messages.ts'

const log = createLog('fleet', process.env['LOG_LEVEL'] ?? 'warn')

await runProgram(log, async (signal) => {
  const { kubeconfig, managed, kubelets, offerDelayMs } = simulatorSettingsSchema.parse(
    JSON.parse(process.env[settingsVariable] ?? ''),
  )
  const simulator = new NodeSimulator({
    cluster: new Cluster(kubeconfig),
    managed: new Set(managed),
    kubelets,
    offerDelayMs,
    clock: realClock,
    log,
  })
  process.on('message', (message) => {
    const { id, silence, revive } = commandSchema.parse(message)
    for (const name of silence) simulator.nodes.silence(name)
    for (const name of revive) simulator.nodes.revive(name)
    process.send?.({ done: id, counts: simulator.counts })
  })
  await simulator.run(signal, () => process.send?.({ synced: true }))
})
