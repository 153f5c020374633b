// What makes a part of this machine a node of its own: a mount namespace and a process namespace.
import { spawn, type ChildProcess } from 'node:child_process'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { runCommand } from '../run-command.ts'

const namespaceFlags = ['--mount', '--propagation=private', '--pid', '--fork', '--kill-child', '--mount-proc']
const closeDeadlineMs = 10_000

/**
 * The mount namespace is there because the kubelet's device plugin directory is a constant. The process
 * namespace is there for the end of the node: when its first process ends, the kernel ends kubelet,
 * containerd, every shim and every container, and the mounts and network namespaces go with the last of them.
 */
export class NodeNamespace {
  readonly #holder: ChildProcess
  readonly #ended: Promise<void>

  private constructor(holder: ChildProcess, ended: Promise<void>) {
    this.#holder = holder
    this.#ended = ended
  }

  static async open(): Promise<NodeNamespace> {
    const firstProcess = path.join(import.meta.dirname, 'first-process.sh')
    const unshare = ['unshare', ...namespaceFlags, '--', '/bin/sh', firstProcess]
    const holder = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...unshare], {
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    })
    let complaint = ''
    holder.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint += text
    })
    const ended = new Promise<void>((resolve) => {
      holder.on('close', () => resolve())
    })
    await new Promise<void>((resolve, reject) => {
      const fail = (reason: string) =>
        reject(new Error(`no mount and process namespace (unshare): ${reason} ${complaint}`))
      holder.on('error', (error) => fail(error.message))
      holder.on('close', (code) => fail(`status ${code}`))
      holder.stdout.once('data', () => resolve())
    })
    holder.stdin.on('error', () => {})
    return new NodeNamespace(holder, ended)
  }

  /** The same command, run inside. */
  inside(command: string, args: readonly string[]): { command: string; args: string[] } {
    const proc = `/proc/${this.#holder.pid}/ns`
    // The holder itself is outside of the process namespace that it made: only its children are in.
    const namespaces = [`--mount=${proc}/mnt`, `--pid=${proc}/pid_for_children`]
    return { command: 'nsenter', args: [...namespaces, '--', command, ...args] }
  }

  async bindMount(source: string, target: string): Promise<void> {
    await this.#mount(['--bind', source, target])
  }

  async makeDirectory(directory: string): Promise<void> {
    const inside = this.inside('mkdir', ['-p', directory])
    await runCommand(inside.command, inside.args)
  }

  async mountMemory(target: string): Promise<void> {
    await this.#mount(['-t', 'tmpfs', 'tmpfs', target])
  }

  /** Resolves when every process of the node has ended. */
  async close(): Promise<void> {
    this.#holder.stdin?.end()
    const deadline = new AbortController()
    const late = sleep(closeDeadlineMs, 'late', { signal: deadline.signal }).catch(() => 'done')
    const first = await Promise.race([this.#ended, late])
    deadline.abort()
    if (first !== 'late') return
    throw new Error(
      `a process of the node does not end within ${closeDeadlineMs / 1000} s of SIGKILL (holder ${this.#holder.pid})`,
    )
  }

  async #mount(args: readonly string[]): Promise<void> {
    const inside = this.inside('mount', args)
    await runCommand(inside.command, inside.args)
  }
}
