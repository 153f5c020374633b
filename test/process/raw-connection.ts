// One TCP connection over which a test sends whatever bytes it likes.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'

export class RawConnection {
  readonly socket: Socket
  readonly closed: Promise<unknown>
  #received = ''

  private constructor(socket: Socket) {
    this.socket = socket
    this.closed = new Promise((resolve) => socket.once('close', resolve))
    // A reset is a close, too.
    socket.on('error', () => undefined)
    socket.on('data', (data) => (this.#received += data.toString('latin1')))
  }

  static async open(t: TestContext, port: number, options: { readonly allowHalfOpen?: boolean } = {}) {
    const socket = connect({ port, host: '127.0.0.1', ...options })
    const connection = new RawConnection(socket)
    t.after(() => socket.destroy())
    await once(socket, 'connect')
    return connection
  }

  send(...bytes: (string | Buffer)[]): this {
    for (const some of bytes) this.socket.write(some)
    return this
  }

  /** All that came until now. */
  get received(): string {
    return this.#received
  }

  /** Status codes of the answers so far. Their bodies must not look like a head. */
  get statuses(): number[] {
    return [...this.#received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, code]) => Number(code))
  }

  /** Whatever came. */
  forget(): void {
    this.#received = ''
  }

  /** Resolves when so many answers have begun. */
  async answers(count: number): Promise<void> {
    while (this.statuses.length < count) {
      await Promise.race([once(this.socket, 'data'), this.closed])
      if (this.socket.destroyed) assert.equal(this.statuses.length, count, this.#received)
    }
  }
}
