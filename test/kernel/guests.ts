// Nodes that are virtual machines, and whether they can run here at all: every test of this folder begins with them.
import assert from 'node:assert/strict'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { onPath } from '../../sim/cluster/binaries/find-program.ts'
import { thisHost, requireRoot } from '../../sim/cluster/host.ts'
import { obtainTestpmd, writeTestpmdImage } from '../../sim/cluster/image/testpmd-image.ts'
import { runCommand } from '../../sim/cluster/run-command.ts'
import { obtainGuestKernel } from '../../sim/guest/kernel/obtain.ts'
import type { GuestMachine } from '../../sim/guest/machine.ts'
import type { InstallationNode } from '../../sim/installation/account.ts'
import { tracesOf, tracesOfBlock } from '../cluster/machine-traces.ts'
import { Scenario } from '../cluster/scenario.ts'

const project = fileURLToPath(new URL('../..', import.meta.url))
/** Everything is slower there by a factor of ten, and slower still on a busy machine. */
const hungAfterMs = 240_000
const size = { hugepages: 256, memoryMiB: 2048 }

/** With an IOMMU, as bare metal instances are. */
export const metal: GuestMachine = { bus: 'iommu', vfio: 'distribution', ...size }
/** As Nitro's virtual machines: without an IOMMU, so that vfio has to do without one. */
export const nitro: GuestMachine = { bus: 'flat', vfio: 'no-iommu', ...size }
/** The same, with a vfio that cannot: that of the distributions. */
export const nitroWithoutNoIommu: GuestMachine = { bus: 'flat', vfio: 'distribution', ...size }

/** For `skip`: why no guest can run on this machine, false when they can. */
export const noGuests: string | false = await whyNoGuests()

export function guestNode(
  name: string,
  machine: GuestMachine,
  labels: Readonly<Record<string, string>> = { ng: 'multi-eni' },
): InstallationNode {
  return { name, zone: 'a', instanceType: 'm5.4xlarge', labels, machine }
}

/** EC2 answers and attaches at once: what takes time here is the kernel. Pods find the image of testpmd-pod.ts. */
export async function startGuests(...nodes: readonly InstallationNode[]): Promise<Scenario> {
  // The device plugin runs in its pods, as it ships.
  await runCommand('npm', ['run', 'build'], { cwd: project })
  const host = thisHost()
  const programs = await obtainTestpmd(host, (line) => console.log(`# ${line}`))
  const testpmd = async (directory: string) => {
    const archive = path.join(directory, 'testpmd-image.tar')
    await writeTestpmdImage(archive, programs)
    return archive
  }
  return Scenario.start({ nodes, ec2: {}, guestImages: [testpmd], hungAfterMs })
}

/** Ends them; nothing of them may be left on this machine. */
export async function endGuests(scenario: Scenario): Promise<void> {
  const { runDir, server } = scenario.installation.cluster
  await scenario[Symbol.asyncDispose]()
  const routes = await runCommand('ip', ['route', 'show', 'table', 'local'])
  assert.deepEqual([...tracesOf(runDir), ...tracesOfBlock(server), ...routesOfBlock(server, routes)], [])
}

/** The API server's address is the first of its block. */
function routesOfBlock(server: string, routes: string): string[] {
  const [, network = ''] = /https:\/\/(\d+\.\d+\.\d+\.)/.exec(server) ?? []
  return routes.split('\n').filter((route) => route.startsWith(`local ${network}`))
}

/** On a machine that should do, a failure to obtain what guests need fails the tests. */
async function whyNoGuests(): Promise<string | false> {
  const host = thisHost()
  const shouldDo = host.uid === 0 && process.arch === 'x64' && (await onPath('apt-get', host)) !== undefined
  try {
    requireRoot(host)
    await obtainGuestKernel((line) => console.log(`# ${line}`))
    return false
  } catch (error) {
    if (shouldDo) throw error
    return `no virtual machine can run here: ${error instanceof Error ? error.message : String(error)}`
  }
}
