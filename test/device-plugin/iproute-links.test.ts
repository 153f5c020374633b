// `ip` as a program that may be missing, refuse, hang or say something unexpected. What it does when all is well is tried on
// real links in test/sim-pci/network-stack.test.ts.
import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'

import { useOfLink } from '../../src/device-plugin/host-links.ts'
import { IprouteLinks, parseLinks } from '../../src/device-plugin/iproute-links.ts'

const ens6 = {
  ifindex: 7,
  ifname: 'ens6',
  flags: ['BROADCAST', 'UP'],
  mtu: 9001,
  min_mtu: 128,
  max_mtu: 9216,
  address: '02:AA:00:00:00:66',
  altnames: ['upf-control'],
  addr_info: [{ family: 'inet', local: '10.0.1.7', prefixlen: 24, scope: 'global' }],
}

test('a link is read with all that is needed of it', () => {
  const shown = parseLinks(JSON.stringify([ens6, {}]))
  assert.deepEqual(shown, {
    kind: 'shown',
    links: [
      {
        index: 7,
        name: 'ens6',
        mac: '02:aa:00:00:00:66',
        altNames: ['upf-control'],
        mtu: 9001,
        maxMtu: 9216,
        isUp: true,
        master: undefined,
        uppers: [],
        uppersElsewhere: 0,
        addresses: [{ address: '10.0.1.7', prefixLength: 24, scope: 'global' }],
      },
    ],
  })
})

test('links of other network namespaces are told by the groups that they ask for below, beside what is here', () => {
  const elsewhere = (
    users: number | undefined,
    { joined = ['224.0.0.1'], ...link }: Record<string, unknown> & { joined?: string[] },
    ...others: object[]
  ) => {
    const here = joined.map((address) => ({ family: 'inet', address }))
    const maddr = [{ link: '33:33:00:00:00:01', users: 9 }, { link: '01:00:5e:00:00:01', users }, { family: 'inet6', address: 'ff02::1' }, ...here] // prettier-ignore
    const shown = parseLinks(JSON.stringify([{ ...ens6, ...link }, ...others]), JSON.stringify([{ ifindex: 7, maddr }]))
    assert.ok(shown.kind === 'shown' && shown.links[0] !== undefined)
    return shown.links[0].uppersElsewhere
  }
  const on = (kind: string, flags: string[] = ['UP']) => ({ ...ens6, ifindex: 8, ifname: 'x', link: 'ens6', flags, linkinfo: { info_kind: kind } }) // prettier-ignore
  assert.equal(elsewhere(undefined, {}), 0)
  assert.equal(elsewhere(3, {}), 2)
  assert.equal(elsewhere(1, { flags: [], joined: [] }), 1, 'a link that is down is not in the group itself')
  assert.equal(elsewhere(2, {}, on('vlan')), 0)
  assert.equal(elsewhere(2, {}, on('vlan', [])), 1)
  assert.equal(elsewhere(2, {}, on('vxlan')), 1, 'a tunnel asks for nothing')
  const groups = ['224.0.0.1', '239.0.0.1', '239.128.0.1', '239.1.0.1', '224.0.0.251']
  assert.equal(elsewhere(3, { joined: groups }), 0, 'a process of the node has joined groups of the same address')
  const belongsTo = (kind: string) => ({ ...ens6, ifindex: 9, ifname: 'm', linkinfo: { info_kind: kind } })
  assert.equal(elsewhere(2, { master: 'm' }, belongsTo('bond')), 0)
  assert.equal(elsewhere(1, { master: 'm' }, belongsTo('bond')), 0, 'a bond asks only its active link')
  assert.equal(elsewhere(2, { master: 'm' }, belongsTo('vrf')), 1)
})

test('a node with tunnels that stand on no other link is read like any other', () => {
  // As the ipip module makes it in every namespace, and Calico uses it (print_name_and_link in iproute2's lib/utils.c).
  const tunl0 = {
    ifindex: 3,
    link: null,
    ifname: 'tunl0',
    flags: ['NOARP'],
    mtu: 1480,
    address: '0.0.0.0',
    addr_info: [],
  }
  const shown = parseLinks(JSON.stringify([ens6, tunl0]))
  assert.ok(shown.kind === 'shown', JSON.stringify(shown))
  assert.deepEqual(
    shown.links.map(({ name, uppers }) => [name, uppers]),
    [
      ['ens6', []],
      ['tunl0', []],
    ],
  )
})

test('an output that is not understood shows nothing, rather than a link without its addresses', () => {
  for (const text of ['', '{}', JSON.stringify([{ ...ens6, addr_info: [{ family: 'inet', address: '10.0.1.7' }] }])]) {
    assert.equal(parseLinks(text).kind, 'failed', text)
  }
})

test('a link is in use when it has a master, carries another link, or has an address that is not link-local', () => {
  const use = (more: object, ...others: object[]) => {
    const shown = parseLinks(JSON.stringify([{ ...ens6, addr_info: [], ...more }, ...others]))
    assert.ok(shown.kind === 'shown' && shown.links[0] !== undefined)
    return useOfLink(shown.links[0])
  }
  const vlan = { ...ens6, ifindex: 8, ifname: 'ens6.5', link: 'ens6', addr_info: [] }
  assert.equal(use({}), undefined)
  assert.equal(use({ addr_info: [{ local: 'fe80::1', prefixlen: 64, scope: 'link' }] }), undefined)
  assert.equal(use({ addr_info: [{ local: 'fd00::1', prefixlen: 64, scope: 'global' }] }), 'has address fd00::1')
  assert.equal(use({ master: 'bond0' }), 'belongs to bond0')
  assert.equal(use({}, { ...vlan, linkinfo: { info_kind: 'vlan' } }), 'carries ens6.5')
  // The two ends of a pair name each other.
  assert.equal(use({}, { ...vlan, linkinfo: { info_kind: 'veth' } }), undefined)
})

test('a program that is not there is named', async () => {
  const shown = await new IprouteLinks({ command: '/nowhere/ip' }).show()
  assert.ok(shown.kind === 'failed')
  assert.match(shown.message, /\/nowhere\/ip -j maddress show: there is no such program; iproute2 must be in the image/)
})

test('a program that does not end is ended at the deadline', async (t) => {
  const links = new IprouteLinks({ command: program(t, 'exec sleep 600'), deadlineMs: 50 })
  const shown = await links.show()
  assert.ok(shown.kind === 'failed')
  assert.match(shown.message, /no answer within 50 ms/)
})

test('while one cannot be ended no other is started', async (t) => {
  // The grandchild keeps the pipe open, as a process does that the kernel does not let go.
  const command = program(t, 'sleep 600 & echo $! > "$0.pid"; wait')
  const links = new IprouteLinks({ command, deadlineMs: 500 })
  await links.show()
  const again = await links.show()
  process.kill(Number(readFileSync(`${command}.pid`, 'utf8')))
  assert.ok(again.kind === 'failed')
  assert.match(again.message, /an earlier ip has not ended/)
})

test('a lack of rights says which capability is missing, a name that is taken is told apart', async (t) => {
  const answering = (text: string) => {
    const show = JSON.stringify([ens6])
    return new IprouteLinks({
      command: program(t, `case "$*" in *show*) echo '${show}';; *) echo "${text}" >&2; exit 2;; esac`),
    })
  }
  const link = { index: 7, mac: '02:aa:00:00:00:66' }
  const denied = await answering('RTNETLINK answers: Operation not permitted').change(link, [{ kind: 'up' }])
  assert.ok(denied.kind === 'failed')
  assert.match(denied.message, /link set dev if7 up: .*Operation not permitted; add NET_ADMIN to the capabilities/)
  const add = { kind: 'add-alt-name', altName: 'upf-control' } as const
  assert.deepEqual(await answering('RTNETLINK answers: File exists').change(link, [add]), {
    kind: 'name-taken',
    altName: 'upf-control',
  })
  assert.deepEqual(await answering('RTNETLINK answers: No such device').change(link, [add]), { kind: 'gone' })
})

/** An executable with these shell commands. */
function program(t: TestContext, commands: string): string {
  const directory = mkdtempSync('/tmp/jip-')
  const path = join(directory, 'ip')
  writeFileSync(path, `#!/bin/sh\n${commands}\n`)
  chmodSync(path, 0o755)
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return path
}
