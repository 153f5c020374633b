// Whether the credentials of a caller are good, by access key. All are until a test says otherwise, and may be again: so
// credentials can run out and be renewed while programs run. Signatures are not verified, so a wrong secret is ordered here too.
// EC2 answers an unknown key and a wrong secret alike, and a session token that ran out with RequestExpired
// (aws-sdk-java issue 1443, aws-sdk-go-v2 issue 1674), not with the ExpiredToken of other services.

import { simulatedCredentials } from '../credentials.ts'
import { Ec2Error } from '../state/ec2-error.ts'
import { refusals } from '../state/refusals.ts'

export class Sessions {
  readonly #bad = new Map<string, 'expired' | 'rejected'>()

  expire(accessKeyId = simulatedCredentials.accessKeyId): void {
    this.#bad.set(accessKeyId, 'expired')
  }

  /** As a key that is unknown, deactivated, or came with a wrong secret. */
  reject(accessKeyId = simulatedCredentials.accessKeyId): void {
    this.#bad.set(accessKeyId, 'rejected')
  }

  restore(accessKeyId = simulatedCredentials.accessKeyId): void {
    this.#bad.delete(accessKeyId)
  }

  /** @throws Ec2Error */
  check(accessKeyId: string): void {
    switch (this.#bad.get(accessKeyId)) {
      case 'expired':
        throw new Ec2Error('RequestExpired', 'Request has expired.')
      case 'rejected':
        throw refusals.notAuthenticated()
      case undefined:
    }
  }
}
