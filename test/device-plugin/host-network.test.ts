// What of its network the node itself uses, from the text of the kernel's tables.
import assert from 'node:assert/strict'
import { test } from 'node:test'

import { type HostNetworkFiles, parseHostNetwork } from '../../src/device-plugin/host-network.ts'

const header = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n'
const zeros = '0'.repeat(32)

function parse(files: Partial<HostNetworkFiles>) {
  return parseHostNetwork({ route: header, ipv6Route: '', ifInet6: '', fibTrie: '', ...files })
}

function ipv6Line(destination: string, prefix: string, flags: string, name: string): string {
  return `${destination} ${prefix} ${zeros} 00 ${zeros} 00000400 00000001 00000000 ${flags} ${name.padStart(8)}\n`
}

test('an interface with any IPv4 route is used; one with the default route is an uplink', () => {
  const route = `${header}ens5\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\nens6\t0001000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n`
  const { used, uplinks } = parse({ route })
  assert.deepEqual([...used], ['ens5', 'ens6'])
  assert.deepEqual([...uplinks], ['ens5'])
})

test('a route to 0.0.0.0/8 is no default route', () => {
  const { uplinks } = parse({ route: `${header}ens6\t00000000\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n` })
  assert.equal(uplinks.size, 0)
})

test('of IPv6 routes only the default route counts: each interface that is up has link-local routes', () => {
  const linkLocal = ipv6Line('fe80'.padEnd(32, '0'), '40', '00000001', 'ens6')
  const { used, uplinks } = parse({ ipv6Route: linkLocal + ipv6Line(zeros, '00', '00000003', 'ens5') })
  assert.deepEqual([...used], ['ens5'])
  assert.deepEqual([...uplinks], ['ens5'])
})

test('the "unreachable" default route on lo makes nothing an uplink', () => {
  assert.equal(parse({ ipv6Route: ipv6Line(zeros, '00', '00200200', 'lo') }).uplinks.size, 0)
})

test('an interface with an IPv6 address is used, unless the address is link-local', () => {
  const ifInet6 = [
    'fe8000000000000000fc00fffe000001 04 40 20 80     ens6',
    'fd000000000000000000000000000002 05 40 00 82     ens7',
    '',
  ].join('\n')
  assert.deepEqual([...parse({ ifInet6 }).used], ['ens7'])
})

test('the IPv4 addresses of the node are the local ones, whichever table routes them; not networks, not broadcasts', () => {
  const fibTrie = `Local:
  +-- 0.0.0.0/0 3 0 5
     +-- 10.0.1.0/24 2 0 2
        +-- 10.0.1.0/29 2 0 2
           |-- 10.0.1.0
              /24 link UNICAST
           |-- 10.0.1.7
              /32 host LOCAL
        |-- 10.0.1.255
           /32 link BROADCAST
     |-- 127.0.0.0
        /8 host LOCAL
        /31 host LOCAL
`
  assert.deepEqual([...parse({ fibTrie }).addresses], ['10.0.1.7'])
})
