// The gateway that a DPDK pod is told of.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { vpcRouterOf } from '../../src/device-plugin/vpc-router.ts'

test('the VPC router has the second address of the subnet', () => {
  assert.equal(vpcRouterOf('10.0.1.0/24'), '10.0.1.1')
  assert.equal(vpcRouterOf('172.31.255.240/28'), '172.31.255.241')
  assert.equal(vpcRouterOf('192.168.0.0/16'), '192.168.0.1')
  assert.equal(vpcRouterOf('10.0.1.7/24'), '10.0.1.1')
})

test('what is no IPv4 CIDR has none', () => {
  for (const cidr of [undefined, '', '10.0.1.0', '10.0.1.0/33', '10.0.1/24', '2001:db8::/56']) {
    assert.equal(vpcRouterOf(cidr), undefined)
  }
})
