// A write-only file of sysfs (bind, unbind, drivers_probe) as a named pipe: every write reaches the simulator, in order, none is merged.
import { execFile } from 'node:child_process'
import { closeSync, constants, openSync, unlinkSync } from 'node:fs'
import { Socket } from 'node:net'
import { promisify } from 'node:util'

const pciAddress = /[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]/g
const addressLength = '0000:00:00.0'.length

export async function makeControlFiles(paths: readonly string[]): Promise<void> {
  await promisify(execFile)('mkfifo', ['-m', '600', ...paths])
}

export class ControlFile {
  readonly #path: string
  readonly #pipe: Socket
  readonly #onAddress: (bdf: string) => void
  #unread = ''

  constructor(path: string, onAddress: (bdf: string) => void) {
    this.#path = path
    this.#onAddress = onAddress
    // Open for writing too, so that the end of one writer is not the end of the pipe. As a socket it is polled; a file stream
    // would keep one of libuv's four threads for each pipe.
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
    try {
      this.#pipe = new Socket({ fd, readable: true, writable: false })
    } catch (cause) {
      closeSync(fd)
      throw cause
    }
    this.#pipe.on('data', (chunk) => this.#read(chunk.toString('latin1')))
  }

  /** Without its reader a pipe would block each writer for ever, so the file goes too. */
  close(): void {
    unlinkSync(this.#path)
    this.#pipe.destroy()
  }

  // Addresses have one length and no writer is made to end them with a newline, so they are cut out by their form.
  #read(text: string): void {
    const all = this.#unread + text
    let end = 0
    for (const match of all.matchAll(pciAddress)) {
      end = match.index + addressLength
      this.#onAddress(match[0])
    }
    this.#unread = all.slice(end).slice(-(addressLength - 1))
  }
}
