// `make demo`: the main job on two real nodes, live. KEEP=1 leaves the cluster running until Ctrl-C; REAL=1 makes the nodes virtual
// machines with a kernel, PCI bus and IOMMU of their own.
import { once } from 'node:events'
import { interruption } from '../cluster/interruption.ts'
import type { GuestMachine } from '../guest/machine.ts'
import { type InstallationNode } from '../installation/account.ts'
import { type Installation, startInstallation } from '../installation/installation.ts'
import { Narrator } from '../terminal/narrator.ts'
import { TerminalRun } from '../terminal/run.ts'
import { WalkThrough } from './walk-through.ts'

const real = process.env['REAL'] === '1'
/** A pod of the example asks for 2 GiB. */
const machine: GuestMachine = { bus: 'iommu', vfio: 'distribution', hugepages: 0, memoryMiB: 3072 }
const kind = { zone: 'a', instanceType: 'm5.4xlarge', labels: { ng: 'multi-eni' }, ...(real && { machine }) } as const
const nodes: readonly InstallationNode[] = [
  { name: 'ip-10-0-1-100.ec2.internal', ...kind },
  { name: 'ip-10-0-1-101.ec2.internal', ...kind },
]
/** What EC2 takes for these, roughly; the card shows itself on the node when the attach is done. */
const ec2 = { delays: { createMs: 300, attachMs: 1500, deviceMs: 1500, detachMs: 1500 } }

const say = new Narrator((text) => void process.stdout.write(text))
const log = (line: string) => say.line(line)
const signal = interruption(log)
const tell = process.env['KEEP'] === '1' ? tellAndKeep : tellAll

const twoNodes = real ? 'two virtual machines with a real kernel each' : 'two real nodes'
say.chapter(`A real control plane, ${twoNodes}, a simulated EC2`)
process.exit(await new TerminalRun(say, signal).run(() => startInstallation({ nodes, ec2, log, signal }), tell))

async function tellAll(installation: Installation): Promise<void> {
  await new WalkThrough(installation, say, signal).run()
}

async function tellAndKeep(installation: Installation): Promise<void> {
  await new WalkThrough(installation, say, signal).runAndKeep()
  const { adminKubeconfig, kubectlBinary } = installation.cluster
  say.chapter('Yours to play with, until Ctrl-C')
  say.line(`export KUBECONFIG=${adminKubeconfig}\nalias kubectl=${kubectlBinary}`)
  if (!signal.aborted) await once(signal, 'abort')
}
