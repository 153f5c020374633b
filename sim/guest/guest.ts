// A virtual machine with a real kernel, emulated by QEMU: its start, its serial log, its agent, its end. It runs the programs of this
// machine: their root file system is below its own, which is in memory (README.md).
import { randomBytes } from 'node:crypto'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Component } from '../cluster/component.ts'
import { runCommand } from '../cluster/run-command.ts'
import { Agent, type GuestCommandOptions } from './agent.ts'
import type { GuestKernel } from './kernel/obtain.ts'
import { machineArguments, primaryCard, type GuestMachine } from './machine.ts'
import { Qmp } from './qmp.ts'

const bootDeadlineMs = 90_000
const shutdownGraceMs = 15_000
const agentPort = 2222
const diskSize = '4G'
const readyLine = 'guest: ready'

export interface GuestPlace {
  /** Exists; the guest has it at the same path. Everything of the guest is in it. */
  readonly directory: string
  /** By which the cluster knows it; an address of this machine, too, whose `ports` lead to the guest's. */
  readonly address: string
  readonly ports: readonly number[]
  /** In 127.0.0.0/8, for its agent. */
  readonly loopback: string
  readonly primaryMac: string
  readonly env: NodeJS.ProcessEnv
}

export class Guest {
  readonly name: string
  readonly machine: GuestMachine
  readonly serialLog: string
  readonly #place: GuestPlace
  readonly #disk: string
  readonly #kernel: GuestKernel
  readonly #agent: Agent
  readonly #token = randomBytes(16).toString('hex')
  #process: Component | undefined
  #qmp: Qmp | undefined

  constructor(name: string, machine: GuestMachine, kernel: GuestKernel, place: GuestPlace) {
    this.name = name
    this.machine = machine
    this.serialLog = path.join(place.directory, 'serial.log')
    this.#disk = path.join(place.directory, 'disk.ext4')
    this.#kernel = kernel
    this.#place = place
    this.#agent = new Agent({ host: place.loopback, port: agentPort, token: this.#token })
  }

  /** Its disk, with the content of `tree`, a directory of this machine: `lib` is its /var/lib, `log` its /var/log. */
  async makeDisk(tree: string, signal?: AbortSignal): Promise<void> {
    await runCommand('truncate', ['--size', diskSize, this.#disk])
    await runCommand('mkfs.ext4', ['-q', '-F', '-d', tree, this.#disk], { signal })
  }

  /** Resolves when it answers. After `kill` or `shutDown` it finds its disk as it was. */
  async start(signal?: AbortSignal): Promise<void> {
    const { directory, env } = this.#place
    writeFileSync(path.join(directory, 'agent-token'), `${this.#token}\n`, { mode: 0o600 })
    writeFileSync(path.join(directory, 'init'), this.#init())
    copyFileSync(path.join(import.meta.dirname, 'agent.sh'), path.join(directory, 'agent.sh'))
    const qmpSocket = path.join(directory, 'qmp.sock')
    const written = this.#serialText().length
    const command = 'qemu-system-x86_64'
    const args = machineArguments(this.machine, {
      ...this.#place,
      name: this.name,
      kernel: this.#kernel,
      agentPort,
      disk: this.#disk,
      qmpSocket,
      serialLog: this.serialLog,
    })
    const logFile = path.join(directory, 'qemu.log')
    this.#process = new Component({ name: `guest ${this.name} (QEMU)`, command, args, env, logFile })
    const connected = async () => {
      this.#qmp = await Qmp.connect(qmpSocket).catch(() => undefined)
      return this.#qmp !== undefined
    }
    await this.#process.waitUntil('taking commands', connected, bootDeadlineMs, signal)
    await this.#answers(written, signal)
  }

  /** The card that is there from the start, with the address by which the cluster knows the guest. */
  get primary(): { readonly id: string; readonly mac: string } {
    return { id: primaryCard, mac: this.#place.primaryMac }
  }

  get qmp(): Qmp {
    if (this.#qmp === undefined) throw new Error(`guest ${this.name} has not been started`)
    return this.#qmp
  }

  /** As by the reset button, after its disk has been written: disk and cards stay. Resolves when it answers again. */
  async reset(signal?: AbortSignal): Promise<void> {
    const written = this.#serialText().length
    await this.run('sync', [])
    await this.qmp.execute('system_reset')
    await this.#answers(written, signal)
  }

  /** @throws CommandError */
  async run(command: string, args: readonly string[] = [], options: GuestCommandOptions = {}): Promise<string> {
    return this.#agent.run(command, args, options)
  }

  /** As `sh -c`, for what is one thing to the reader but several commands. @throws CommandError */
  async script(text: string, options: GuestCommandOptions = {}): Promise<string> {
    return this.#agent.script(text, options)
  }

  /** Serves `localSocket`, which leads to the guest's `socketInGuest`. */
  async tunnel(localSocket: string, socketInGuest: string): Promise<void> {
    await this.#agent.tunnel(localSocket, socketInGuest)
  }

  /** Asks the guest to end, and cuts its power when it does not. */
  async shutDown(): Promise<void> {
    if (this.#process?.running !== true) return
    await this.script('sync; umount -a -t ext4; echo o > /proc/sysrq-trigger').catch(() => undefined)
    await Promise.race([this.#process.exited, delay(shutdownGraceMs, undefined, { ref: false })])
    await this.kill()
  }

  /** A power cut. */
  async kill(): Promise<void> {
    this.#agent.close()
    this.#qmp?.close()
    await this.#process?.kill()
  }

  /** `written`: how much of the serial log is from earlier boots. */
  async #answers(written: number, signal?: AbortSignal): Promise<void> {
    const said = () => this.#serialText().slice(written)
    const ready = async () => {
      const refused = /^guest: (?!ready)(.*)$/m.exec(said())
      if (refused !== null) throw new Error(`guest ${this.name}: ${refused[1]}; its serial log is ${this.serialLog}`)
      return said().includes(readyLine) && (await this.#setClock(signal))
    }
    await this.#process?.waitUntil('booted', ready, bootDeadlineMs, signal).catch((error: unknown) => {
      const lines = this.#serialText().trimEnd().split('\n').slice(-15)
      throw new Error(`${String(error)}\nthe end of its serial log:\n${lines.join('\n')}`, { cause: error })
    })
  }

  /** It reads the time of its clock to the second only. Its agent may not listen yet. */
  async #setClock(signal?: AbortSignal): Promise<boolean> {
    return this.run('date', ['--set', `@${Date.now() / 1000}`], { signal }).then(
      () => true,
      () => false,
    )
  }

  #serialText(): string {
    try {
      return readFileSync(this.serialLog, 'utf8')
    } catch {
      return ''
    }
  }

  #init(): string {
    const { directory, address, primaryMac } = this.#place
    const settings = {
      NODE_DIR: directory,
      NAME: this.name,
      ADDRESS: address,
      PRIMARY_MAC: primaryMac,
      AGENT_PORT: String(agentPort),
      NO_IOMMU_VFIO: this.machine.vfio === 'no-iommu' ? this.#kernel.noIommuVfio : '',
    }
    const lines = Object.entries(settings).map(([name, value]) => `${name}='${value}'\n`)
    return lines.join('') + readFileSync(path.join(import.meta.dirname, 'init.sh'), 'utf8')
  }
}
