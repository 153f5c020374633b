// Before a pod that waits comes no ENI for which nobody has asked.
import type { ENIAttachment } from '../api/eni-attachment.ts'
import type { Urgency } from './ec2-limiter.ts'

export function urgencyOf({ spec }: Pick<ENIAttachment, 'spec'>): Urgency {
  return spec.claim === undefined ? 'ahead' : 'pods'
}
