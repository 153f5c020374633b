// The containers of a cluster's pods as the machine's kernel has them, behind the back of kubelet and container runtime: which of them
// run this moment, and what devices they really have.
import { existsSync, readFileSync, statSync } from 'node:fs'
import { environmentName } from '../../src/device-plugin/allocation.ts'
import { processIds } from './machine-traces.ts'
import { dataplane } from './upf-manifests.ts'

export interface RunningContainer {
  readonly pid: string
  /** Tells this process from a later one with the same id. */
  readonly startTicks: string
  readonly nodeIndex: number
  readonly podUID: string
  readonly containerID: string
  /** PCI addresses that its environment names; empty when it names none. */
  readonly pciAddresses: readonly string[]
}

/** Containers of which the environment has `marker` ("NAME=value"), whatever their node. */
export function runningContainers(runId: string, marker: string): RunningContainer[] {
  return processIds()
    .map((pid) => containerOf(pid, runId, marker))
    .filter((container) => container !== undefined)
}

/** A process on its way out loses its file system a moment before it is dead. */
export function stillRuns({ pid, startTicks }: RunningContainer): boolean {
  return existsSync(`/proc/${pid}/root/dev`) && startTicksOf(pid) === startTicks
}

/** Major and minor number of a device node that the container has; undefined when it has no such node. */
export function deviceNumberIn({ pid }: RunningContainer, devicePath: string): number | undefined {
  const found = statSync(`/proc/${pid}/root${devicePath}`, { throwIfNoEntry: false })
  return found?.isCharacterDevice() === true ? found.rdev : undefined
}

function containerOf(pid: string, runId: string, marker: string): RunningContainer | undefined {
  const group = new RegExp(`/${runId}/n(\\d+)/kubepods/(?:[a-z]+/)?pod([0-9a-f-]{36})/([0-9a-f]{64})`).exec(
    textOf(`/proc/${pid}/cgroup`),
  )
  if (group === null || !/^NSpid:.*\t1$/m.test(textOf(`/proc/${pid}/status`))) return undefined
  const startTicks = startTicksOf(pid)
  const environment = textOf(`/proc/${pid}/environ`).split('\0')
  // Before it becomes the container's program the process is runc's, with runc's environment.
  if (startTicks === undefined || !environment.includes(marker)) return undefined
  const prefix = `${environmentName(dataplane)}=`
  const named = environment.find((variable) => variable.startsWith(prefix))?.slice(prefix.length) ?? ''
  const [, nodeIndex, podUID = '', containerID = ''] = group
  return {
    pid,
    startTicks,
    nodeIndex: Number(nodeIndex),
    podUID,
    containerID,
    pciAddresses: named === '' ? [] : named.split(','),
  }
}

/** undefined when the process has ended, also when nobody has waited for it yet. */
function startTicksOf(pid: string): string | undefined {
  const stat = textOf(`/proc/${pid}/stat`)
  // The program's name, in parentheses, may itself hold spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return stat === '' || fields[0] === 'Z' ? undefined : fields[19]
}

/** Empty when it is no longer there. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
