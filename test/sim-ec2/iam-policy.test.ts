// The rule engine: what a policy document says about one question of EC2, and which documents are refused.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'

import { contextOf } from '../../sim/ec2/iam/condition-keys.ts'
import { firstDenial } from '../../sim/ec2/iam/decision.ts'
import { parsePolicy } from '../../sim/ec2/iam/policy.ts'

const attach = 'ec2:AttachNetworkInterface'
const eni = 'arn:aws:ec2:eu-north-1:123456789012:network-interface/eni-1'
const vpc = 'arn:aws:ec2:eu-north-1:123456789012:vpc/vpc-1'

type Values = Parameters<typeof contextOf>[0]
type Condition = Readonly<Record<string, Readonly<Record<string, string | string[]>>>>

const check = (values: Values = {}, resource = eni, action = attach) => ({
  action,
  resource,
  context: contextOf(values),
})

function documentOf(...statements: object[]) {
  return {
    Version: '2012-10-17',
    Statement: statements.map((statement) => ({ Effect: 'Allow', Action: attach, Resource: eni, ...statement })),
  }
}

const allows = (statement: object, asked = check()) =>
  firstDenial([parsePolicy(documentOf(statement))], [asked]) === undefined

describe('a statement covers a question', () => {
  const cases: [string, object, boolean][] = [
    ['of its action and resource', {}, true],
    ['of any of its actions', { Action: ['ec2:CreateTags', attach] }, true],
    ['whatever the case of the action', { Action: 'EC2:attachnetworkINTERFACE' }, true],
    ['by a wildcard in the action', { Action: 'ec2:*NetworkInterface' }, true],
    ['by one character', { Action: 'ec2:AttachNetworkInterfac?' }, true],
    ['not of another action', { Action: 'ec2:DetachNetworkInterface' }, false],
    ['not of an action that only begins like it', { Action: 'ec2:Attach' }, false],
    ['of any resource', { Resource: '*' }, true],
    ['of any of its resources', { Resource: [vpc, eni] }, true],
    ['by a wildcard in the resource', { Resource: 'arn:aws:ec2:*:*:network-interface/*' }, true],
    ['not of another kind of resource', { Resource: 'arn:aws:ec2:*:*:instance/*' }, false],
    ['not of another region', { Resource: 'arn:aws:ec2:us-east-1:*:network-interface/*' }, false],
    ['not with another case of the resource', { Resource: eni.toUpperCase() }, false],
    ['not when a dot would be a wildcard', { Resource: eni.replace('eni-1', 'eni.1') }, false],
  ]
  for (const [title, statement, allowed] of cases) {
    test(title, () => assert.equal(allows(statement), allowed))
  }

  test('a describe is asked of no resource, so an ARN does not cover it', () => {
    const describeEnis = check({}, '*', 'ec2:DescribeNetworkInterfaces')
    assert.equal(allows({ Action: 'ec2:Describe*', Resource: '*' }, describeEnis), true)
    assert.equal(
      allows({ Action: 'ec2:Describe*', Resource: 'arn:aws:ec2:*:*:network-interface/*' }, describeEnis),
      false,
    )
  })
})

describe('a condition', () => {
  const tag = 'aws:ResourceTag/cluster'
  const cases: [string, Condition, Values, boolean][] = [
    ['StringEquals: equal', { StringEquals: { [tag]: 'a' } }, { [tag]: 'a' }, true],
    ['StringEquals: one of several', { StringEquals: { [tag]: ['b', 'a'] } }, { [tag]: 'a' }, true],
    ['StringEquals: other', { StringEquals: { [tag]: 'a' } }, { [tag]: 'A' }, false],
    ['StringEquals: absent', { StringEquals: { [tag]: 'a' } }, {}, false],
    ['StringEquals: a wildcard is a character', { StringEquals: { [tag]: '*' } }, { [tag]: 'a' }, false],
    ['the case of the key does not matter', { StringEquals: { 'AWS:resourcetag/CLUSTER': 'a' } }, { [tag]: 'a' }, true],
    ['StringEqualsIfExists: equal', { StringEqualsIfExists: { [tag]: 'a' } }, { [tag]: 'a' }, true],
    ['StringEqualsIfExists: other', { StringEqualsIfExists: { [tag]: 'a' } }, { [tag]: 'b' }, false],
    ['StringEqualsIfExists: absent', { StringEqualsIfExists: { [tag]: 'a' } }, {}, true],
    ['StringNotEquals: other', { StringNotEquals: { [tag]: ['a', 'b'] } }, { [tag]: 'c' }, true],
    ['StringNotEquals: one of them', { StringNotEquals: { [tag]: ['a', 'b'] } }, { [tag]: 'b' }, false],
    ['StringNotEquals: absent', { StringNotEquals: { [tag]: 'a' } }, {}, true],
    ['StringLike: matches', { StringLike: { [tag]: 'pre*' } }, { [tag]: 'prefix' }, true],
    ['StringLike: does not match', { StringLike: { [tag]: 'pre*' } }, { [tag]: 'a prefix' }, false],
    ['StringNotLike: matches', { StringNotLike: { [tag]: 'pre*' } }, { [tag]: 'prefix' }, false],
    ['Null true: absent', { Null: { [tag]: 'true' } }, {}, true],
    ['Null true: there', { Null: { [tag]: 'true' } }, { [tag]: '' }, false],
    ['Null false: absent', { Null: { [tag]: 'false' } }, {}, false],
    ['Null false: there', { Null: { [tag]: 'false' } }, { [tag]: '' }, true],
    ['Bool: equal', { Bool: { 'aws:SecureTransport': 'true' } }, { 'aws:SecureTransport': 'true' }, true],
    ['Bool: other', { Bool: { 'aws:SecureTransport': 'false' } }, { 'aws:SecureTransport': 'true' }, false],
    ['ArnEquals: equal', { ArnEquals: { 'ec2:Vpc': vpc } }, { 'ec2:Vpc': vpc }, true],
    ['ArnEquals: wildcards', { ArnEquals: { 'ec2:Vpc': 'arn:*:ec2:*:*:vpc/vpc-1' } }, { 'ec2:Vpc': vpc }, true],
    [
      'ArnEquals: a wildcard stays in its part',
      { ArnEquals: { 'ec2:Vpc': 'arn:*:vpc/vpc-1' } },
      { 'ec2:Vpc': vpc },
      false,
    ],
    ['ArnEquals: other', { ArnEquals: { 'ec2:Vpc': `${vpc}2` } }, { 'ec2:Vpc': vpc }, false],
    [
      'all lines must hold',
      { StringEquals: { [tag]: 'a', 'ec2:Region': 'x' } },
      { [tag]: 'a', 'ec2:Region': 'y' },
      false,
    ],
    ['all operators must hold', { StringEquals: { [tag]: 'a' }, Null: { [tag]: 'true' } }, { [tag]: 'a' }, false],
  ]
  for (const [title, condition, values, allowed] of cases) {
    test(title, () => assert.equal(allows({ Condition: condition }, check(values)), allowed))
  }

  const sets: [string, string, string[] | undefined, boolean][] = [
    ['all are among them', 'ForAllValues:StringEquals', ['a', 'b'], true],
    ['one is not among them', 'ForAllValues:StringEquals', ['a', 'c'], false],
    ['there are none', 'ForAllValues:StringEquals', undefined, true],
    ['one is among them', 'ForAnyValue:StringEquals', ['c', 'b'], true],
    ['none is among them', 'ForAnyValue:StringEquals', ['c'], false],
    ['there are none', 'ForAnyValue:StringEquals', undefined, false],
    ['all are others', 'ForAllValues:StringNotEquals', ['c', 'd'], true],
    ['one is among them', 'ForAllValues:StringNotEquals', ['c', 'a'], false],
    ['there are none', 'ForAllValues:StringNotEquals', undefined, true],
    ['there are none', 'ForAnyValue:StringNotEquals', undefined, false],
    ['there are none', 'ForAnyValue:StringEqualsIfExists', undefined, true],
  ]
  for (const [title, operator, present, allowed] of sets) {
    test(`${operator}: ${title}`, () => {
      const condition = { [operator]: { 'aws:TagKeys': ['a', 'b'] } }
      const values: Values = present === undefined ? {} : { 'aws:TagKeys': present }
      assert.equal(allows({ Condition: condition }, check(values)), allowed)
    })
  }
})

describe('a decision', () => {
  const deny = { Effect: 'Deny', Action: '*', Resource: '*', Condition: { StringEquals: { 'ec2:Region': 'a' } } }
  const decide = (statements: object[], ...asked: ReturnType<typeof check>[]) =>
    firstDenial([parsePolicy(documentOf(...statements))], asked)

  test('is no where nothing says yes', () => {
    assert.equal(decide([])?.because, undefined)
    assert.equal(decide([], check())?.because, 'nothing-allows')
  })

  test('is no where something says no, whatever else says yes and in which order', () => {
    assert.equal(decide([{}, deny], check({ 'ec2:Region': 'a' }))?.because, 'explicit-deny')
    assert.equal(decide([deny, {}], check({ 'ec2:Region': 'a' }))?.because, 'explicit-deny')
    assert.equal(decide([deny, {}], check({ 'ec2:Region': 'b' })), undefined)
  })

  test('is made of all policies together', () => {
    const policies = [documentOf(deny), documentOf({})].map(parsePolicy)
    assert.equal(firstDenial(policies, [check({ 'ec2:Region': 'b' })]), undefined)
    assert.equal(firstDenial(policies, [check({ 'ec2:Region': 'a' })])?.because, 'explicit-deny')
  })

  test('names the first question that is not allowed', () => {
    assert.equal(decide([{}], check(), check({}, vpc))?.check.resource, vpc)
  })
})

describe('a document is refused', () => {
  const cases: [string, object, RegExp][] = [
    ['with an unknown operator', { Condition: { NumericEquals: { 'ec2:Region': '1' } } }, /NumericEquals/],
    ['with a misspelt operator', { Condition: { stringequals: { 'ec2:Region': '1' } } }, /stringequals/],
    [
      'with an unknown set operator',
      { Condition: { 'ForNoValue:StringEquals': { 'aws:TagKeys': 'a' } } },
      /ForNoValue/,
    ],
    ['with Null and IfExists', { Condition: { NullIfExists: { 'ec2:Region': 'true' } } }, /NullIfExists/],
    ['with an unknown key', { Condition: { StringEquals: { 'ec2:AuthorizedUser': 'a' } } }, /ec2:AuthorizedUser/],
    [
      'with a tag key that names no tag',
      { Condition: { StringEquals: { 'aws:RequestTag/': 'a' } } },
      /aws:RequestTag\//,
    ],
    ['with Null that is neither', { Condition: { Null: { 'ec2:Region': 'maybe' } } }, /Null ec2:Region .* maybe/],
    ['with several values compared as one', { Condition: { StringEquals: { 'aws:TagKeys': 'a' } } }, /ForAllValues/],
    [
      'with a policy variable',
      { Condition: { StringEquals: { 'ec2:Region': '${aws:username}' } } },
      /\$\{aws:username\}/,
    ],
    ['with a placeholder', { Resource: 'arn:${PARTITION}:ec2:*' }, /\$\{PARTITION\}/],
    ['with NotAction', { NotAction: 'ec2:*' }, /NotAction/],
    ['with no resource', { Resource: [] }, /Resource/],
    ['with another effect', { Effect: 'allow' }, /Effect/],
    ['with a Sid of more than letters and digits', { Sid: 'a b' }, /Sid/],
  ]
  for (const [title, statement, words] of cases) {
    test(title, () => assert.throws(() => parsePolicy(documentOf(statement)), words))
  }

  test('of another version', () => {
    assert.throws(() => parsePolicy({ ...documentOf({}), Version: '2008-10-17' }), /Version/)
  })

  test('and the error says which statement is meant', () => {
    const wrong = { Condition: { StringEquals: { 'ec2:No': 'a' } } }
    assert.throws(
      () => parsePolicy(documentOf({ Sid: 'First' }, { Sid: 'Second', ...wrong })),
      /statement Second .*ec2:No/,
    )
    assert.throws(() => parsePolicy(documentOf({}, wrong)), /statement 2 /)
  })
})
