// The few API requests that the cluster makes about itself, as its administrator.
import { Agent, request } from 'node:https'
import { readFileSync } from 'node:fs'
import type { ApiServerAddress } from './kubeconfig.ts'

export class ApiClient {
  readonly #address: ApiServerAddress
  readonly #token: string
  #agent: Agent | undefined

  constructor(address: ApiServerAddress, token: string) {
    this.#address = address
    this.#token = token
  }

  /** The parsed answer. Throws on any other status than 200 and 201. */
  async json<T>(method: 'GET' | 'POST', path: string, body?: unknown): Promise<T> {
    const { status, text } = await this.#send(method, path, body)
    if (status !== 200 && status !== 201) throw new Error(`${method} ${path}: ${status} ${text}`)
    return JSON.parse(text) as T
  }

  /** False also while nothing listens, or before the server has written its certificate. */
  async ready(): Promise<boolean> {
    try {
      const { status } = await this.#send('GET', '/readyz')
      return status === 200
    } catch {
      // The next time with a new look at the certificate: this one may have seen half of it.
      this.close()
      return false
    }
  }

  close(): void {
    this.#agent?.destroy()
    this.#agent = undefined
  }

  #send(method: string, path: string, body?: unknown): Promise<{ status: number | undefined; text: string }> {
    return new Promise((resolve, reject) => {
      this.#agent ??= new Agent({ keepAlive: true, ca: readFileSync(this.#address.caFile) })
      const headers = {
        authorization: `Bearer ${this.#token}`,
        'content-type': 'application/json',
      }
      const url = `${this.#address.server}${path}`
      const outgoing = request(url, { agent: this.#agent, method, headers }, (response) => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (part: string) => {
          text += part
        })
        response.on('end', () => resolve({ status: response.statusCode, text }))
        response.on('error', reject)
      })
      outgoing.on('error', reject)
      outgoing.end(body === undefined ? undefined : JSON.stringify(body))
    })
  }
}
