// A simulated EC2: speaks the real query protocol over HTTP on the loopback, so that the unchanged AWS SDK drives it.
// Models: instances, subnets and their addresses, security groups, interfaces with their states, attachments with cards, slots and
// limits, the budget shared with EBS, client tokens, tags, filters, pages, errors, delays, stuck attachments, throttling, eventual
// consistency, IAM, faults. See README.md for the whole list, with sources and tests.
// Does not model: packets, EFA, trunks, prefixes, Elastic IPs, flexible ENA queues. Rivals in the account: rivals/.

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'

import { simulatedCredentials } from './credentials.ts'
import { type Ec2, type Ec2Options, newEc2 } from './new-ec2.ts'
import { httpServer } from './wire/http-server.ts'

export type { Ec2Options } from './new-ec2.ts'

export interface SimulatedEc2 extends Ec2 {
  readonly endpoint: string
  /** What a process needs in its environment so that its SDK finds this EC2. */
  environment(): Record<string, string>
}

export async function startEc2(options: Ec2Options): Promise<SimulatedEc2> {
  const ec2 = newEc2(options)
  const server = httpServer(ec2.service).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  return {
    ...ec2,
    endpoint,
    environment: () => ({
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: ec2.state.region,
      AWS_ACCESS_KEY_ID: simulatedCredentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: simulatedCredentials.secretAccessKey,
    }),
    stop: async () => {
      await ec2.stop()
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
