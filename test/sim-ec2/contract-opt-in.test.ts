// Who asks for the contract with real EC2 gets it, or a failure: never a test that was skipped for want of a setting.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'

const contract = new URL('contract.test.ts', import.meta.url).pathname

function runAgainstRealEc2(wanted: string | undefined): { status: number | null; stdout: string } {
  const env = { PATH: process.env['PATH'], AWS_CONTRACT_TEST: wanted }
  return spawnSync(process.execPath, ['--test-name-pattern=^real EC2', contract], { env, encoding: 'utf8' })
}

test('without credentials and subnet it says that it was skipped, unless it was asked for', () => {
  const { status, stdout } = runAgainstRealEc2(undefined)
  assert.equal(status, 0)
  assert.match(stdout, /AWS_CONTRACT_TEST is not 1/)
  const asked = runAgainstRealEc2('1')
  assert.equal(asked.status, 1)
  assert.match(asked.stdout, /CONTRACT_SUBNET_ID is not set/)
})
