// `make demo`: the main job on two real nodes, live. KEEP=1 leaves the cluster running until Ctrl-C.
import { once } from 'node:events'
import { type InstallationNode } from '../installation/account.ts'
import { startInstallation } from '../installation/installation.ts'
import { Narrator } from './narrator.ts'
import { WalkThrough } from './walk-through.ts'

const labels = { ng: 'multi-eni' }
const nodes: readonly InstallationNode[] = [
  { name: 'ip-10-0-1-100.ec2.internal', zone: 'a', instanceType: 'm5.4xlarge', labels },
  { name: 'ip-10-0-1-101.ec2.internal', zone: 'a', instanceType: 'm5.4xlarge', labels },
]
/** What EC2 takes for these, roughly; the card shows itself on the node when the attach is done. */
const delays = { createMs: 300, attachMs: 1500, deviceMs: 1500, detachMs: 1500 }

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort(new Error(signal)))

const say = new Narrator()
const keep = process.env['KEEP'] === '1'
const { signal } = interrupted

try {
  say.chapter('A real control plane, two real nodes, a simulated EC2')
  const start = startInstallation({ nodes, delays, log: (line) => say.line(line), signal })
  await using installation = await say.during('the cluster starts', start)
  const walkThrough = new WalkThrough(installation, say, signal)
  if (keep) {
    await walkThrough.runAndKeep()
    const { adminKubeconfig, kubectlBinary } = installation.cluster
    say.chapter('Yours to play with, until Ctrl-C')
    say.line(`export KUBECONFIG=${adminKubeconfig}\nalias kubectl=${kubectlBinary}`)
    const alive = setInterval(() => undefined, 60_000)
    if (!signal.aborted) await once(signal, 'abort')
    clearInterval(alive)
  } else await walkThrough.run()
  say.chapter('Cleaning up')
} catch (error) {
  if (!signal.aborted) throw error
  say.line('interrupted; everything is removed')
  process.exitCode = 130
}
say.line(`done after ${say.seconds} s`)
process.exit()
