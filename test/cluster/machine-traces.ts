// What a cluster could leave on the machine: processes, mounts, sockets, control groups, addresses, directories.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import path from 'node:path'

const machineBefore = machineState()

/** Other clusters may run meanwhile: only what belongs to this process or to the given addresses counts. */
export function assertNothingLeft(linesWithAddress: readonly string[]): void {
  const address = linesWithAddress.find((line) => line.includes('https://'))
  assert.ok(address, 'the address of the API server is not known')
  assert.deepEqual(tracesOfBlock(address), [])
  assert.deepEqual(childProcesses(), [])
  assert.deepEqual(runDirectoriesOf(process.pid), [])
  assert.deepEqual(machineState(), machineBefore)
}

/** What a kubelet and containerd like to leave on a machine, and kernel settings that they like to change. */
export function machineState(): Readonly<Record<string, string | boolean>> {
  const settings = ['net/ipv4/ip_forward', 'kernel/panic', 'kernel/panic_on_oops', 'vm/overcommit_memory']
  const directories = [
    '/var/lib/kubelet',
    '/var/log/pods',
    '/opt/containerd',
    '/usr/libexec/kubernetes',
    '/run/containerd',
  ]
  return {
    ...Object.fromEntries(settings.map((name) => [name, readFileSync(path.join('/proc/sys', name), 'utf8')])),
    ...Object.fromEntries(directories.map((directory) => [directory, existsSync(directory)])),
  }
}

/** Network interfaces with an address of the /20 that the API server's address is in. */
export function tracesOfBlock(apiServer: string): string[] {
  const block = (text: string) => {
    const [, first, second, third] = /(\d+)\.(\d+)\.(\d+)\.\d+/.exec(text) ?? []
    return [first, second, Number(third) >> 4].join('.')
  }
  return Object.entries(networkInterfaces()).flatMap(([name, addresses]) =>
    (addresses ?? [])
      .filter(({ address }) => block(address) === block(apiServer))
      .map(({ address }) => `${name} ${address}`),
  )
}

function childProcesses(): string[] {
  const parent = new RegExp(`^PPid:\\t${process.pid}$`, 'm')
  return processIds()
    .filter((pid) => parent.test(contentOf(`/proc/${pid}/status`)))
    .map((pid) => `${pid} ${contentOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`)
}

/** Of the clusters that the process runs. */
export function runDirectoriesOf(pid: number | undefined): string[] {
  return readdirSync('/tmp')
    .filter((name) => name.startsWith('jit-eni-'))
    .map((name) => path.join('/tmp', name))
    .filter((runDir) => contentOf(path.join(runDir, 'owner.json')).includes(`"pid":${pid},`))
}

export function tracesOf(runDir: string): string[] {
  const id = path.basename(runDir)
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n')
  const sockets = readFileSync('/proc/net/unix', 'utf8').split('\n')
  return [
    ...processesOf(runDir),
    ...[...mounts, ...sockets].filter((line) => line.includes(runDir)),
    ...controlGroups('/sys/fs/cgroup').filter((group) => group.includes(id)),
    ...(existsSync(runDir) ? [runDir] : []),
  ]
}

/** By command line, environment, control group and mounts: the command lines of containers and of our programs say nothing. */
export function processesOf(runDir: string): string[] {
  const id = path.basename(runDir)
  return processIds()
    .filter((pid) => pid !== String(process.pid))
    .filter((pid) =>
      ['cmdline', 'environ', 'cgroup', 'mountinfo'].some((file) => contentOf(`/proc/${pid}/${file}`).includes(id)),
    )
    .map((pid) => `${pid} ${contentOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`)
}

export function podNetworkNamespaces(runDir: string): Set<string> {
  const inPods = processIds().filter((pid) => contentOf(`/proc/${pid}/cgroup`).includes(path.basename(runDir)))
  return new Set(inPods.map((pid) => linkOf(pid, 'ns/net')))
}

export function processIds(): string[] {
  return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))
}

/** Empty when it is no longer there. */
function contentOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

export function linkOf(pid: string, file: string): string {
  try {
    return readlinkSync(`/proc/${pid}/${file}`)
  } catch {
    return ''
  }
}

function controlGroups(directory: string): string[] {
  const children = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory())
  return children.flatMap((child) => {
    const group = path.join(directory, child.name)
    return [group, ...controlGroups(group)]
  })
}
