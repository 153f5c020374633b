// The control groups of one cluster, on cgroup v1 (a hierarchy per controller) and v2 (one for all).
import { existsSync, readdirSync } from 'node:fs'
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const mountPoint = '/sys/fs/cgroup'
/** The kubelet wants all of these that the machine has in its cgroup root. */
const controllersOfPods = new Set(['cpu', 'cpuset', 'hugetlb', 'io', 'memory', 'pids'])
const busyDeadlineMs = 10_000
const pollIntervalMs = 20

export function isCgroupV2(): boolean {
  return existsSync(path.join(mountPoint, 'cgroup.controllers'))
}

/** Makes the group `name`, for example `jit-eni-1a2b3c/n0`, where the kubelet then makes those of its pods. */
export async function createCgroup(name: string): Promise<void> {
  for (const hierarchy of hierarchies()) {
    let group = hierarchy
    for (const part of name.split('/')) {
      const parent = group
      group = path.join(parent, part)
      // A group hands a controller to its children only when told so, level by level.
      if (isCgroupV2()) await enableControllers(parent)
      await mkdir(group, { recursive: true })
      await inheritCpuset(parent, group)
    }
    if (isCgroupV2()) await enableControllers(group)
  }
}

/** Removes the group and all below it, as soon as the processes in it have ended. */
export async function removeCgroup(name: string): Promise<void> {
  for (const hierarchy of hierarchies()) {
    const startedAt = Date.now()
    while (!(await removed(path.join(hierarchy, name)))) {
      if (Date.now() - startedAt > busyDeadlineMs) {
        throw new Error(`the control group ${path.join(hierarchy, name)} still has processes`)
      }
      await sleep(pollIntervalMs)
    }
  }
}

function hierarchies(): string[] {
  if (isCgroupV2()) return [mountPoint]
  return readdirSync(mountPoint, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => path.join(mountPoint, entry.name))
}

async function enableControllers(group: string): Promise<void> {
  const available = (await readFile(path.join(group, 'cgroup.controllers'), 'utf8')).trim().split(' ')
  const wanted = available.filter((controller) => controllersOfPods.has(controller))
  const enable = wanted.map((controller) => `+${controller}`)
  try {
    await writeFile(path.join(group, 'cgroup.subtree_control'), enable.join(' '))
  } catch (cause) {
    throw new Error(
      `cannot hand the controllers ${wanted.join(' ')} to the children of ${group}; a control group other than the ` +
        "machine's root must have no processes of its own for that (in a container: move them to a child first)",
      { cause },
    )
  }
}

/** On v1 a new cpuset has no processors at all, and no process may enter it. */
async function inheritCpuset(parent: string, group: string): Promise<void> {
  if (isCgroupV2()) return
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    if (!existsSync(path.join(group, file))) return
    await writeFile(path.join(group, file), await readFile(path.join(parent, file)))
  }
}

async function removed(group: string): Promise<boolean> {
  if (!existsSync(group)) return true
  const children = readdirSync(group, { withFileTypes: true }).filter((child) => child.isDirectory())
  for (const child of children) {
    if (!(await removed(path.join(group, child.name)))) return false
  }
  return rmdir(group).then(
    () => true,
    () => false,
  )
}
