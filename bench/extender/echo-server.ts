// The floor: a server that parses the scheduler's request and echoes the names, as any extender has to. Its bind posts the Binding with
// our client and does nothing else. A process of its own, like the extender; says its port to its parent.
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

import { Cluster } from '../../src/kube/cluster.ts'
import { podPath } from '../../src/kube/resource.ts'

/** As long as the extender keeps connections (src/extender/server.ts). */
const keepAliveMs = 120_000

interface Args {
  readonly NodeNames: readonly string[]
  readonly PodName: string
  readonly PodNamespace: string
  readonly PodUID: string
  readonly Node: string
}

/** Where it binds; without it, it cannot. */
const kubeconfig = process.argv[2]
const cluster = kubeconfig === undefined ? undefined : new Cluster(kubeconfig)

async function answer(request: IncomingMessage): Promise<object> {
  const args = JSON.parse(await text(request)) as Args
  switch (request.url) {
    case '/filter':
      return { NodeNames: args.NodeNames, FailedAndUnresolvableNodes: {}, Error: '' }
    case '/prioritize':
      return args.NodeNames.map((Host) => ({ Host, Score: 0 }))
    case '/bind':
      return bind(args)
    default:
      throw new Error(`no verb ${request.url}`)
  }
}

async function bind({ PodName, PodNamespace, PodUID, Node }: Args): Promise<object> {
  const metadata = { namespace: PodNamespace, name: PodName, uid: PodUID }
  const body = { apiVersion: 'v1', kind: 'Binding', metadata, target: { apiVersion: 'v1', kind: 'Node', name: Node } }
  await cluster?.request('POST', `${podPath(PodNamespace, PodName)}/binding`, { body })
  return { Error: '' }
}

const server = createServer({ keepAliveTimeout: keepAliveMs }, (request, response) => {
  answer(request).then(
    (body) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
    (error: unknown) => response.writeHead(500).end(String(error)),
  )
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
process.send?.({ port: (server.address() as AddressInfo).port })
