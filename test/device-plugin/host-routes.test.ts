// Which interfaces the node itself uses, from the text of the kernel's route tables.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { parseHostRoutes } from '../../src/device-plugin/host-routes.ts'

const header = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n'
const zeros = '0'.repeat(32)

function ipv6Line(destination: string, prefix: string, flags: string, name: string): string {
  return `${destination} ${prefix} ${zeros} 00 ${zeros} 00000400 00000001 00000000 ${flags} ${name.padStart(8)}\n`
}

test('an interface with any IPv4 route is used; one with the default route is an uplink', () => {
  const ipv4 = `${header}ens5\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\nens6\t0001000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n`
  const { used, uplinks } = parseHostRoutes(ipv4, '')
  assert.deepEqual([...used], ['ens5', 'ens6'])
  assert.deepEqual([...uplinks], ['ens5'])
})

test('a route to 0.0.0.0/8 is no default route', () => {
  const { uplinks } = parseHostRoutes(`${header}ens6\t00000000\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n`, '')
  assert.equal(uplinks.size, 0)
})

test('of IPv6 only the default route counts: each interface that is up has link-local routes', () => {
  const linkLocal = ipv6Line('fe80'.padEnd(32, '0'), '40', '00000001', 'ens6')
  const { used, uplinks } = parseHostRoutes(header, linkLocal + ipv6Line(zeros, '00', '00000003', 'ens5'))
  assert.deepEqual([...used], ['ens5'])
  assert.deepEqual([...uplinks], ['ens5'])
})

test('the "unreachable" default route on lo makes nothing an uplink', () => {
  assert.equal(parseHostRoutes(header, ipv6Line(zeros, '00', '00200200', 'lo')).uplinks.size, 0)
})
