// A gRPC service of the kubelet on its unix socket, and the wipe of sockets with which a kubelet begins.
import { once } from 'node:events'
import { linkSync, lstatSync, readdirSync, unlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'

import { Server, ServerCredentials, type UntypedServiceImplementation } from '@grpc/grpc-js'

export async function serve(
  socket: string,
  service: Parameters<Server['addService']>[0],
  implementation: UntypedServiceImplementation,
): Promise<Server> {
  const server = new Server()
  server.addService(service, implementation)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.bindAsync(`unix://${socket}`, ServerCredentials.createInsecure(), (failure) =>
    failure ? reject(new Error(`cannot listen on ${socket}`, { cause: failure })) : resolve(),
  )
  await promise
  return server
}

/** A socket file whose server is gone; connect(2) answers ECONNREFUSED. */
export async function leaveStaleSocket(path: string): Promise<void> {
  const closing = `${path}.closing`
  const server = createServer().listen(closing)
  await once(server, 'listening')
  linkSync(closing, path)
  server.close()
  await once(server, 'close')
}

/** Only sockets: the checkpoint and directories stay (server.go, cleanupPluginDirectory). */
export function removeSockets(directory: string): void {
  for (const name of readdirSync(directory)) {
    const path = join(directory, name)
    if (lstatSync(path).isSocket()) unlinkSync(path)
  }
}
