// kubectl as the reader could type it in the project's directory: what is printed is what is run.
import { readFileSync } from 'node:fs'
import type { Cluster } from '../cluster/cluster.ts'
import type { Narrator } from '../terminal/narrator.ts'
import type { Waiting } from '../terminal/waiting.ts'

const examples = 'deploy/examples/'

export class ShownKubectl {
  readonly #cluster: Cluster
  readonly #say: Narrator
  readonly #waiting: Waiting

  constructor(cluster: Cluster, say: Narrator, waiting: Waiting) {
    this.#cluster = cluster
    this.#say = say
    this.#waiting = waiting
  }

  async run(...args: string[]): Promise<void> {
    const command = `kubectl ${args.map(shellWord).join(' ')}`
    await this.#say.command(command, this.#kubectl(command, args))
  }

  /** Only the lines that match, an extended regular expression. */
  async grep(pattern: string, ...args: string[]): Promise<void> {
    const command = `kubectl ${args.map(shellWord).join(' ')} | grep -E '${pattern}'`
    const matches = (line: string) => new RegExp(pattern).test(line)
    const output = this.#kubectl(command, args).then((text) => text.split('\n').filter(matches).join('\n'))
    await this.#say.command(command, output)
  }

  /** A file of deploy/examples, as it is. */
  async apply(file: string): Promise<void> {
    const command = `kubectl apply -f ${examples}${file}`
    await this.#say.command(command, this.#kubectl(command, ['apply', '-f', '-'], textOf(file)))
  }

  /** A file of deploy/examples with one text in place of another. */
  async applyReplacing(before: string, after: string, file: string): Promise<void> {
    const command = `sed 's#${before}#${after}#' ${examples}${file} | kubectl apply -f -`
    const text = textOf(file).replace(before, after)
    await this.#say.command(command, this.#kubectl(command, ['apply', '-f', '-'], text))
  }

  async #kubectl(command: string, args: readonly string[], input = ''): Promise<string> {
    return this.#waiting.during(command, (signal) => this.#cluster.kubectl(args, { input, signal }))
  }
}

function shellWord(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument}'`
}

function textOf(file: string): string {
  return readFileSync(new URL(`../../${examples}${file}`, import.meta.url), 'utf8')
}
