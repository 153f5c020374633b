// The HTTP endpoint: one POST is one call.

import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import { text } from 'node:stream/consumers'

import type { Ec2Service } from './service.ts'

export function httpServer(service: Ec2Service): Server {
  return createServer((message, response) => {
    void answer(service, message, response)
  })
}

async function answer(service: Ec2Service, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(message).catch(() => undefined)
  if (body === undefined) return // The caller went away before it had said all.

  const given = await service.handle({ body, authorization: message.headers.authorization })
  if (given === 'no-answer') return
  if (given === 'reset') {
    response.destroy()
    return
  }
  response.writeHead(given.status, { 'content-type': given.contentType }).end(given.document)
}
