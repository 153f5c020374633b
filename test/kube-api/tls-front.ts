// TLS in front of a server that speaks plain HTTP, with a certificate of its own authority, and who the client says it is. Bytes go
// through as they are.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, type Server, type TLSSocket } from 'node:tls'

export class TlsFront {
  readonly #server: Server
  readonly #directory: string
  readonly #sockets = new Set<TLSSocket>()
  /** Whether each connection so far took up an earlier session, in order. */
  readonly resumed: boolean[] = []
  /** The CN of each client that showed a certificate, in order. */
  readonly clients: string[] = []

  private constructor(port: number) {
    this.#directory = mkdtempSync(join(tmpdir(), 'jit-eni-tls-'))
    makeCertificate(this.certificateFile, this.keyFile)
    const certificate = readFileSync(this.certificateFile)
    this.#server = createServer({
      cert: certificate,
      key: readFileSync(this.keyFile),
      ca: certificate,
      requestCert: true,
      rejectUnauthorized: false,
    })
    this.#server.on('secureConnection', (socket) => this.#pass(socket, port))
  }

  /** In front of the server on this port of the loopback. */
  static async before(url: string): Promise<TlsFront> {
    const front = new TlsFront(Number(new URL(url).port))
    front.#server.listen(0, '127.0.0.1')
    await once(front.#server, 'listening')
    return front
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** It is its own authority, and serves as a client's certificate too: its CN is `front`. */
  get certificateFile(): string {
    return join(this.#directory, 'front.crt')
  }

  get keyFile(): string {
    return join(this.#directory, 'front.key')
  }

  async stop(): Promise<void> {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await once(this.#server, 'close')
    rmSync(this.#directory, { recursive: true, force: true })
  }

  #pass(socket: TLSSocket, port: number): void {
    this.#sockets.add(socket)
    this.resumed.push(socket.isSessionReused())
    const { subject } = socket.getPeerCertificate()
    if (subject !== undefined) this.clients.push(String(subject.CN))
    const behind = connect(port, '127.0.0.1')
    // What breaks on one side is gone on the other.
    socket.on('error', () => undefined)
    behind.on('error', () => undefined)
    behind.once('close', () => socket.destroy())
    socket.once('close', () => {
      this.#sockets.delete(socket)
      behind.destroy()
    })
    socket.pipe(behind).pipe(socket)
  }
}

/** Signed by itself: whoever is to accept it takes the certificate for the CA as well. Node signs no certificates. */
function makeCertificate(certificateFile: string, keyFile: string): void {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', keyFile]
  const names = ['-subj', '/CN=front', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:front.test']
  const command = ['req', '-x509', ...key, ...names, '-days', '2', '-out', certificateFile]
  execFileSync('openssl', command, { stdio: 'pipe' })
}
