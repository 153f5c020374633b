// The first process of a pod's container, as the machine sees it: what the kernel really lets it do.
import { readFileSync } from 'node:fs'
import type { V1Pod } from '@kubernetes/client-node'
import { processIds } from './machine-traces.ts'

export interface ContainerProcess {
  /** In the process namespace of the tests. */
  readonly pid: number
  readonly status: ReadonlyMap<string, string>
  /** Mount options of the file systems that it sees, by mount point. */
  readonly mounts: ReadonlyMap<string, readonly string[]>
}

export function processOf(pod: V1Pod): ContainerProcess {
  const [container] = pod.status?.containerStatuses ?? []
  const id = container?.containerID?.replace(/^.*:\/\//, '')
  if (id === undefined) throw new Error(`pod ${pod.metadata?.name} has no container`)
  const pid = processIds().find((candidate) => isFirstOf(id, candidate))
  if (pid === undefined) throw new Error(`no process of container ${id}`)
  return { pid: Number(pid), status: statusOf(pid), mounts: mountsOf(pid) }
}

function isFirstOf(containerID: string, pid: string): boolean {
  try {
    if (!readFileSync(`/proc/${pid}/cgroup`, 'utf8').includes(containerID)) return false
    return statusOf(pid).get('NSpid')?.endsWith('\t1') ?? false
  } catch {
    // It has ended meanwhile.
    return false
  }
}

function statusOf(pid: string): ReadonlyMap<string, string> {
  const lines = readFileSync(`/proc/${pid}/status`, 'utf8').trim().split('\n')
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]))
}

/** Columns of mountinfo: proc(5). */
function mountsOf(pid: string): ReadonlyMap<string, readonly string[]> {
  const lines = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').trim().split('\n')
  return new Map(
    lines.map((line) => {
      const [, , , , mountPoint = '', options = ''] = line.split(' ')
      return [mountPoint, options.split(',')]
    }),
  )
}
