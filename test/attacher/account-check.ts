// What must be true of the account at the end of every story (invariants 3 to 5).
import assert from 'node:assert/strict'

import type { AttacherUnderTest } from './attacher-under-test.ts'
import { brokenInTheEnd } from './lab/invariants.ts'

export function checkAccount(attacher: AttacherUnderTest): void {
  assert.deepEqual(brokenInTheEnd(attacher), [])
}

/** After a story that releases all: nothing of ours is left in EC2 or Kubernetes. */
export function checkEmpty(attacher: AttacherUnderTest): void {
  checkAccount(attacher)
  const { ids } = attacher.foreign
  assert.deepEqual(
    attacher.ec2.state.enis().filter(({ eniId }) => !ids.includes(eniId)),
    [],
  )
  assert.deepEqual(attacher.attachments(), [])
}
