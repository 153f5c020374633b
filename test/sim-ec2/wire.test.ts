// The protocol itself, below the SDK: who may call, what an error looks like, and how the SDK finds this EC2 by its environment.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { promisify } from 'node:util'

import { ec2UnderTest } from './ec2-under-test.ts'

const scope = (region: string) =>
  `AWS4-HMAC-SHA256 Credential=AKIA/20260101/${region}/ec2/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`

async function post(endpoint: string, body: Record<string, string>, authorization?: string) {
  const headers = authorization === undefined ? {} : { authorization }
  const answer = await fetch(endpoint, { method: 'POST', body: new URLSearchParams(body), headers })
  return { status: answer.status, xml: await answer.text() }
}

test('a call without a signature, or with one for another region, is not authenticated', async (t) => {
  const { ec2 } = await ec2UnderTest(t)
  for (const authorization of [undefined, 'Basic eDp5', scope('us-east-1')]) {
    const { status, xml } = await post(ec2.endpoint, { Action: 'DescribeSubnets' }, authorization)
    assert.equal(status, 401)
    assert.match(xml, /<Code>AuthFailure<\/Code>/)
  }
})

test('an error is a document with code, message and request id', async (t) => {
  const { ec2 } = await ec2UnderTest(t)
  const { status, xml } = await post(ec2.endpoint, { Action: 'Fly<1>' }, scope('eu-north-1'))
  assert.equal(status, 400)
  const { requestId } = [...ec2.calls][0] ?? {}
  assert.equal(
    xml,
    '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>InvalidAction</Code>' +
      '<Message>The action Fly&#60;1&#62; is not valid for this web service.</Message></Error></Errors>' +
      `<RequestID>${requestId}</RequestID></Response>`,
  )
})

test('an answer carries its request id and the namespace of the API', async (t) => {
  const { ec2 } = await ec2UnderTest(t)
  const { xml } = await post(ec2.endpoint, { Action: 'DescribeSubnets', Version: '2016-11-15' }, scope('eu-north-1'))
  assert.match(
    xml,
    /^<\?xml.*\n<DescribeSubnetsResponse xmlns="http:\/\/ec2.amazonaws.com\/doc\/2016-11-15\/"><requestId>/,
  )
})

test('a process with the environment of this EC2 needs no more to use it', async (t) => {
  const { ec2 } = await ec2UnderTest(t)
  const script = `import { EC2 } from '@aws-sdk/client-ec2'
    const { Subnets } = await new EC2({}).describeSubnets({})
    console.log(Subnets.length)`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', script], {
    env: ec2.environment(),
    cwd: import.meta.dirname,
  })
  assert.equal(stdout.trim(), '5')
})
