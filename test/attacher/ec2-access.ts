// EC2 for the attacher's tests: the real SDK client, metered as for an account that it has for itself.
import type { Ec2, Ec2Access } from '../../src/attacher/ec2.ts'
import { Ec2SdkClient } from '../../src/attacher/ec2-client.ts'
import { Ec2Connection, type Ec2ConnectionOptions } from '../../src/attacher/ec2-connection.ts'
import { Ec2Gate } from '../../src/attacher/ec2-gate.ts'
import { Ec2Limiter, type Ec2LimiterOptions } from '../../src/attacher/ec2-limiter.ts'
import { AttacherMetrics } from '../../src/attacher/metrics.ts'
import { realClock } from '../../src/process/clock.ts'

export interface AccessOptions extends Partial<Pick<Ec2ConnectionOptions, 'gate' | 'clock' | 'observer' | 'client'>> {
  readonly limits?: Partial<Omit<Ec2LimiterOptions, 'clock'>>
}

export function ec2Access({ clock = realClock, limits, ...options }: AccessOptions = {}): Ec2Access {
  const all = { share: 1, quotas: new Map(), concurrency: 100, ...limits }
  const limiter = new Ec2Limiter({ clock, ...all })
  const { ec2Observer: observer } = new AttacherMetrics()
  const gate = new Ec2Gate(clock)
  const connection = new Ec2Connection({ limiter, gate, clock, observer, ...all, ...options })
  return (urgency, signal) => new Ec2SdkClient(connection, urgency, signal)
}

/** For tests of one call or one part. */
export function ec2Client(options: AccessOptions = {}): Ec2 {
  return ec2Access(options)('pods', new AbortController().signal)
}
