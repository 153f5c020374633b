// What a cluster could leave on the machine: processes, mounts, sockets, control groups, addresses, directories.
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import path from 'node:path'

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

export function childProcesses(): string[] {
  const parent = new RegExp(`^PPid:\\t${process.pid}$`, 'm')
  return processIds()
    .filter((pid) => parent.test(contentOf(pid, 'status')))
    .map((pid) => `${pid} ${contentOf(pid, 'cmdline').replaceAll('\0', ' ')}`)
}

export function ownRunDirectories(): string[] {
  return readdirSync('/tmp')
    .filter((name) => name.startsWith('jit-eni-'))
    .map((name) => path.join('/tmp', name, 'owner.json'))
    .filter((file) => existsSync(file) && readFileSync(file, 'utf8').includes(`"pid":${process.pid},`))
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

/** By command line, by control group and by mounts: a container's command line says nothing. */
export function processesOf(runDir: string): string[] {
  const id = path.basename(runDir)
  return processIds()
    .filter((pid) => pid !== String(process.pid))
    .filter((pid) => ['cmdline', 'cgroup', 'mountinfo'].some((file) => contentOf(pid, file).includes(id)))
    .map((pid) => `${pid} ${contentOf(pid, 'cmdline').replaceAll('\0', ' ')}`)
}

export function podNetworkNamespaces(runDir: string): Set<string> {
  const inPods = processIds().filter((pid) => contentOf(pid, 'cgroup').includes(path.basename(runDir)))
  return new Set(inPods.map((pid) => linkOf(pid, 'ns/net')))
}

export function processIds(): string[] {
  return readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))
}

function contentOf(pid: string, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
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
