// One kube-scheduler: the ordinary one, or another that is started from a configuration of the caller.
import { readFileSync, writeFileSync } from 'node:fs'
import { request } from 'node:https'
import path from 'node:path'
import { parse } from 'yaml'
import { Component } from '../component.ts'

const readyDeadlineMs = 60_000

export interface SchedulerOptions {
  /** Path of a KubeSchedulerConfiguration, YAML or JSON. */
  readonly config: string
  /** Takes the place of the configuration's clientConnection.kubeconfig. */
  readonly kubeconfig: string
}

interface SchedulerProcess extends SchedulerOptions {
  readonly name: string
  readonly binary: string
  readonly address: string
  readonly port: number
  readonly runDir: string
  readonly env: NodeJS.ProcessEnv
  /** Besides those that say where it listens and what it reads. */
  readonly args: readonly string[]
}

/** What a caller may do with one that it has started. */
export type RunningScheduler = Pick<Scheduler, 'name' | 'pid' | 'logFile' | 'kill'>

export class Scheduler {
  readonly #process: SchedulerProcess
  #component: Component | undefined

  constructor(schedulerProcess: SchedulerProcess) {
    this.#process = schedulerProcess
  }

  get name(): string {
    return this.#process.name
  }

  get logFile(): string {
    return path.join(this.#process.runDir, `${this.name}.log`)
  }

  /** undefined when it has ended. */
  get pid(): number | undefined {
    return this.#component?.pid
  }

  /** Resolves when its caches are filled. */
  async start(signal?: AbortSignal): Promise<void> {
    const { name, binary, address, port, env } = this.#process
    const places = [`--config=${this.#writeConfig()}`, `--bind-address=${address}`, `--secure-port=${port}`]
    const args = [...places, ...this.#process.args]
    this.#component = new Component({ name, command: binary, args, env, logFile: this.logFile })
    await this.#component.waitUntil('ready', () => this.#ready(), readyDeadlineMs, signal)
  }

  /** A crash: its leader lease stays until it runs out. */
  async kill(): Promise<void> {
    await this.#component?.kill()
  }

  /** kube-scheduler ignores --kubeconfig beside --config, so it has to stand in the configuration itself. */
  #writeConfig(): string {
    const { name, config, kubeconfig, runDir } = this.#process
    const given = parse(readFileSync(config, 'utf8')) as {
      readonly clientConnection?: Record<string, unknown>
    }
    const written = path.join(runDir, `${name}.config.json`)
    const clientConnection = { ...given.clientConnection, kubeconfig }
    writeFileSync(written, JSON.stringify({ ...given, clientConnection }, undefined, 2))
    return written
  }

  #ready(): Promise<boolean> {
    const { address, port } = this.#process
    return new Promise((resolve) => {
      // Its certificate lives in its memory only, there is nothing to verify it by.
      const url = `https://${address}:${port}/readyz`
      const outgoing = request(url, { rejectUnauthorized: false, agent: false }, (response) => {
        response.resume()
        resolve(response.statusCode === 200)
      })
      outgoing.on('error', () => resolve(false))
      outgoing.end()
    })
  }
}
