// EC2 answers 200 with something else than what was asked for: each call fails with an error of its name, and nothing is concluded
// from it. Nor is it from a list that is empty for a moment.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { newEc2 } from '../../sim/ec2/new-ec2.ts'
import { inProcess } from '../../sim/ec2/in-process.ts'
import type { WireAnswer } from '../../sim/ec2/wire/service.ts'
import type { Ec2 } from '../../src/attacher/ec2.ts'
import { isEc2 } from '../../src/attacher/ec2-error.ts'
import { attacherWorld } from './attacher-world.ts'
import { ec2Client } from './ec2-access.ts'
import { AccountInUse, minuteMs } from './lab/account-in-use.ts'
import { ours } from './lab/invariants.ts'

const answering = (document: string): WireAnswer => ({ status: 200, contentType: 'text/xml;charset=UTF-8', document })
const responseOf = (action: string, content: string) =>
  `<?xml version="1.0"?>\n<${action}Response><requestId>1</requestId>${content}</${action}Response>`

const creation = {
  clientToken: 'token',
  subnetID: 'subnet-a1',
  securityGroupIDs: ['sg-upf'],
  description: '',
  tags: new Map<string, string>(),
  secondaryPrivateIPv4AddressCount: 0,
  ipv6AddressCount: 0,
}

interface Call {
  readonly make: (ec2: Ec2) => Promise<unknown>
  /** The list in its answer. */
  readonly list?: string
}

const calls: Readonly<Record<string, Call>> = {
  DescribeNetworkInterfaces: { make: (ec2) => ec2.describeEnis(['eni-1']), list: 'networkInterfaceSet' },
  DescribeInstances: { make: (ec2) => ec2.describeInstances(['i-a1']), list: 'reservationSet' },
  DescribeInstanceTypes: { make: (ec2) => ec2.describeInstanceTypes(['m5.xlarge']), list: 'instanceTypeSet' },
  DescribeSubnets: { make: (ec2) => ec2.describeSubnets({ ids: ['subnet-a1'] }), list: 'subnetSet' },
  DescribeSecurityGroups: { make: (ec2) => ec2.describeSecurityGroups({ ids: ['sg-upf'] }), list: 'securityGroupInfo' },
  CreateNetworkInterface: { make: (ec2) => ec2.createEni(creation) },
  AttachNetworkInterface: { make: (ec2) => ec2.attachEni('eni-1', 'i-a1', 1, 0) },
  DetachNetworkInterface: { make: (ec2) => ec2.detachEni('eni-attach-1', false) },
  DeleteNetworkInterface: { make: (ec2) => ec2.deleteEni('eni-1') },
  ModifyNetworkInterfaceAttribute: { make: (ec2) => ec2.setSourceDestCheck('eni-1', false) },
  CreateTags: { make: (ec2) => ec2.createTags('eni-1', new Map([['a', 'b']])) },
}

async function assertUnexpected(action: string, document: string, says?: RegExp): Promise<void> {
  const simulated = newEc2({ world: attacherWorld })
  simulated.service.handle = async () => answering(document)
  const ec2 = ec2Client({ client: inProcess(simulated) })
  await assert.rejects(calls[action]?.make(ec2) ?? assert.fail(action), (error) => {
    assert.ok(isEc2(error, 'Retry'))
    assert.equal(error.action, action)
    assert.equal(error.code, 'UnexpectedAnswer')
    assert.match(error.message, says ?? new RegExp(`^EC2 ${action}: UnexpectedAnswer: .+`))
    assert.doesNotMatch(error.message, /\n|\$response/, 'one line, for whoever reads a condition')
    return true
  })
}

describe('what cannot be read is an error of the call', () => {
  const documents = {
    'white space': ' \n',
    'a page': '<!DOCTYPE html><html><body>Log in<br></body></html>',
    JSON: '{"message":"ok"}',
    'half of an answer': '<?xml version="1.0"?><Response><networkInterfaceSet><item><netwo',
  }
  for (const [what, document] of Object.entries(documents))
    for (const action of Object.keys(calls)) test(`${what}: ${action}`, () => assertUnexpected(action, document))
})

describe('what does not have what was asked for is an error of the call', () => {
  const documents: Readonly<Record<string, (action: string) => string>> = {
    'no body': () => '',
    'a page in proper XML': () => '<html><head><title>Log in</title></head><body/></html>',
    'the answer to another call': () =>
      responseOf('DescribeVpcs', '<vpcSet><item><vpcId>vpc-1</vpcId></item></vpcSet>'),
    'an answer without its content': (action) => responseOf(action, ''),
  }
  const lists = Object.keys(calls).filter((action) => calls[action]?.list !== undefined)
  for (const [what, documentFor] of Object.entries(documents)) {
    for (const action of ['CreateNetworkInterface', 'AttachNetworkInterface'])
      test(`${what}: ${action}`, () => assertUnexpected(action, documentFor(action)))
    for (const action of lists) test(`${what}: ${action}`, () => assertUnexpected(action, documentFor(action)))
  }
})

test('an empty list is an answer', async () => {
  for (const [action, { make, list }] of Object.entries(calls)) {
    if (list === undefined) continue
    const simulated = newEc2({ world: attacherWorld })
    simulated.service.handle = async () => answering(responseOf(action, `<${list}/>`))
    assert.deepEqual(await make(ec2Client({ client: inProcess(simulated) })), [])
  }
})

describe('a field that is missing, or is not what it is called, is an error that names it', () => {
  const attachment = '<attachment><attachmentId>eni-attach-1</attachmentId><status>attached</status></attachment>'
  const item = (content: string) => `<item>${content}</item>`
  const eni = (content: string) => `<networkInterfaceId>eni-1</networkInterfaceId>${content}`
  const documents: readonly (readonly [action: string, field: string, content: string])[] = [
    [
      'DescribeNetworkInterfaces',
      'NetworkInterfaceId',
      `<networkInterfaceSet>${item('<status>available</status>')}</networkInterfaceSet>`,
    ],
    [
      'DescribeNetworkInterfaces',
      'NetworkInterfaceId',
      `<networkInterfaceSet>${item('<networkInterfaceId>vol-1</networkInterfaceId>')}</networkInterfaceSet>`,
    ],
    [
      'DescribeNetworkInterfaces',
      'Attachment.DeviceIndex',
      `<networkInterfaceSet>${item(eni(attachment))}</networkInterfaceSet>`,
    ],
    [
      'DescribeInstances',
      'InstanceId',
      '<reservationSet><item><instancesSet><item><instanceType>m5.xlarge</instanceType></item></instancesSet></item></reservationSet>',
    ],
    [
      'DescribeInstances',
      'State',
      '<reservationSet><item><instancesSet><item><instanceId>i-a1</instanceId></item></instancesSet></item></reservationSet>',
    ],
    [
      'DescribeInstanceTypes',
      'NetworkInfo',
      `<instanceTypeSet>${item('<instanceType>m5.xlarge</instanceType>')}</instanceTypeSet>`,
    ],
    ['DescribeSubnets', 'AvailableIpAddressCount', `<subnetSet>${item('<subnetId>subnet-a1</subnetId>')}</subnetSet>`],
    ['CreateNetworkInterface', 'NetworkInterfaceId', '<networkInterface><status>pending</status></networkInterface>'],
    ['AttachNetworkInterface', 'AttachmentId', '<attachmentId>1</attachmentId>'],
  ]
  for (const [action, field, content] of documents)
    test(`${action}: ${field}`, () =>
      assertUnexpected(action, responseOf(action, content), new RegExp(`UnexpectedAnswer: .*${field}`)))
})

type Rewrite = (document: string, action: string) => string

/** The answers of one action, rewritten: EC2 has done what it was asked for. Answers how to end that. */
function rewrite(lab: AccountInUse, action: string, how: Rewrite): () => void {
  lab.answerInstead = (called, done) => (called === action ? rewritten(done, how, action) : undefined)
  return () => (lab.answerInstead = () => undefined)
}

async function rewritten(done: () => Promise<WireAnswer>, how: Rewrite, action: string): Promise<WireAnswer> {
  const answer = await done()
  return typeof answer === 'string' ? answer : answering(how(answer.document, action))
}

const emptyList: Rewrite = (_document, action) => responseOf(action, `<${calls[action]?.list}/>`)

/** Ten minutes of it while a pod comes and an idle ENI goes. */
async function liveThrough(action: string, how: Rewrite): Promise<void> {
  const lab = new AccountInUse()
  await lab.start()
  let changes = 0
  const end = rewrite(lab, action, (document) => {
    const changed = how(document, action)
    if (changed !== document) changes++
    return changed
  })
  lab.releaseIdle()
  lab.addPod('comes', 'a2')
  for (let minute = 0; minute < 10; minute++) {
    await lab.clock.advance(minuteMs)
    lab.assertHeldUntouched()
  }
  end()
  assert.ok(changes > 0, 'no answer had what is left out here')
  await lab.assertAllWell(6 * minuteMs)
  await lab.assertLeavesNothing()
}

describe('for ten minutes the answers to one call are malformed: all is left as it is, and then done once', () => {
  const withIDs = ['DescribeNetworkInterfaces', 'DescribeInstances', 'DescribeSubnets', 'CreateNetworkInterface']
  const withStates = ['DescribeNetworkInterfaces', 'DescribeInstances', 'CreateNetworkInterface']
  const changes = ['AttachNetworkInterface', 'DetachNetworkInterface', 'DeleteNetworkInterface']
  const all = [...withIDs, ...changes, 'ModifyNetworkInterfaceAttribute']
  const ids = /<(networkInterfaceId|instanceId|subnetId|groupId|attachmentId)>[^<]*</g
  const ways: readonly (readonly [what: string, how: Rewrite, actions: readonly string[]])[] = [
    ['a page', () => '<html><body>Log in<br></body></html>', all],
    ['half of it', (document) => document.slice(0, document.length / 2), all],
    [
      'without ids',
      (document) => document.replaceAll(/<(\w+Id)>[^<]*<\/\1>/g, ''),
      [...withIDs, 'AttachNetworkInterface'],
    ],
    ['with ids of others', (document) => document.replaceAll(ids, '<$1>x-1<'), [...withIDs, 'AttachNetworkInterface']],
    ['without states', (document) => document.replaceAll(/<(status|name)>[^<]*<\/\1>/g, ''), withStates],
    [
      'with unknown states',
      (document) => document.replaceAll(/<(status|name)>[^<]*</g, '<$1>quarantined<'),
      withStates,
    ],
  ]
  for (const [what, how, actions] of ways)
    for (const action of actions) test(`${what}: ${action}`, () => liveThrough(action, how))

  for (const what of ['nothing', 'the answer to another call']) {
    const how: Rewrite = () => (what === 'nothing' ? '' : responseOf('DescribeVpcs', '<vpcSet/>'))
    for (const action of ['DescribeNetworkInterfaces', 'DescribeInstances'])
      test(`${what}: ${action}`, () => liveThrough(action, how))
  }
})

test('a delete that was not done, and is answered by a page in proper XML: the ENI goes all the same', async () => {
  const lab = new AccountInUse()
  await lab.start()
  lab.answerInstead = (action) =>
    action === 'DeleteNetworkInterface' ? Promise.resolve(answering('<html><body/></html>')) : undefined
  lab.releaseIdle()
  await lab.until(() => lab.idle().length === 0)
  assert.equal(ours(lab.scene).length, 3)
  lab.answerInstead = () => undefined
  // Two surveys show that it belongs to no ENIAttachment.
  await lab.until(() => ours(lab.scene).length === 2)
  lab.violations.clear()
  await lab.assertAllWell()
})

describe('a list that is empty for half a minute', () => {
  const momentMs = 30_000

  /** From each second of a survey's, a sweep's and an ENI's time on, in steps. */
  async function atAnyTime(action: string): Promise<void> {
    for (let afterMs = 0; afterMs < 4 * minuteMs; afterMs += 20_000) {
      const lab = new AccountInUse()
      await lab.start()
      await lab.clock.advance(afterMs)
      const end = rewrite(lab, action, emptyList)
      await lab.clock.advance(momentMs)
      lab.assertHeldUntouched()
      end()
      await lab.clock.advance(2 * minuteMs)
      lab.assertHeldUntouched()
      await lab.assertAllWell()
      lab.stopAttacher()
      await lab.clock.settle()
    }
  }

  test('of network interfaces: no ENI that is in use or idle is given up', () => atAnyTime('DescribeNetworkInterfaces'))

  test('of instances: no card is taken from a node that is there', () => atAnyTime('DescribeInstances'))

  test('of subnets or groups: the next pod is served as soon as they are there again', async () => {
    for (const action of ['DescribeSubnets', 'DescribeSecurityGroups']) {
      const lab = new AccountInUse()
      await lab.start()
      await lab.clock.advance(2 * minuteMs)
      const end = rewrite(lab, action, emptyList)
      lab.addPod('comes', 'a2')
      await lab.clock.advance(momentMs)
      assert.equal(lab.condition('Ready')?.status, 'False')
      lab.assertHeldUntouched()
      end()
      await lab.assertAllWell(minuteMs)
    }
  })

  test('to a delete, as of an ENI that it does not know: it goes all the same', async () => {
    const lab = new AccountInUse()
    await lab.start()
    const kind = { code: 'InvalidNetworkInterfaceID.NotFound', status: 400 }
    lab.ec2.faults.add({ action: 'DeleteNetworkInterface', when: 'before', times: 3, kind })
    lab.releaseIdle()
    await lab.until(() => ours(lab.scene).length === 2)
    await lab.assertAllWell()
  })

  test('of network interfaces while one goes: it goes', async () => {
    const lab = new AccountInUse()
    await lab.start()
    const end = rewrite(lab, 'DescribeNetworkInterfaces', emptyList)
    lab.releaseIdle()
    await lab.clock.advance(momentMs)
    end()
    await lab.until(() => ours(lab.scene).length === 2)
    await lab.assertAllWell()
  })

  for (const moment of ['CreateNetworkInterface', 'AttachNetworkInterface'])
    test(`of network interfaces, after minutes without EC2 since ${moment}: the ENI is not given up`, async () => {
      const lab = new AccountInUse()
      await lab.start()
      lab.onCall(moment, () => (lab.answerInstead = () => Promise.resolve('reset')))
      lab.addPod('comes', 'a2')
      await lab.clock.advance(3 * minuteMs)
      const { eniID } = lab.made().at(-1) ?? assert.fail()
      let isMissed = false
      const end = rewrite(lab, 'DescribeNetworkInterfaces', (document, action) => {
        isMissed ||= document.includes(eniID)
        return emptyList(document, action)
      })
      await lab.until(() => isMissed)
      await lab.clock.advance(2_000)
      end()
      await lab.assertAllWell()
      assert.equal(lab.made().length, 4, 'three that were there, and one')
    })
})
