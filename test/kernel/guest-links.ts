// The interfaces of a virtual machine's own network namespace, as its `ip` shows them.
import assert from 'node:assert/strict'
import type { GuestNode } from '../../sim/cluster/node/guest-node.ts'
import type { HostLink } from '../../src/device-plugin/host-links.ts'
import { parseLinks } from '../../src/device-plugin/iproute-links.ts'
import { eventually } from './eventually.ts'

export async function guestLinks({ guest }: GuestNode): Promise<readonly HostLink[]> {
  const [groups = '', addresses = ''] = (await guest.script('ip -j maddress show; echo; ip -j -d address show')).split(
    '\n\n',
  )
  const shown = parseLinks(addresses, groups)
  assert.ok(shown.kind === 'shown', JSON.stringify(shown))
  return shown.links
}

/** Looks until the interface is so; what it is like then. */
export async function linkOnce(node: GuestNode, mac: string, isSo: (link: HostLink) => boolean): Promise<HostLink> {
  let link: HostLink | undefined
  await eventually(`the interface with MAC ${mac} of ${node.name}`, async () => {
    link = (await guestLinks(node)).find((seen) => seen.mac === mac)
    if (link !== undefined && isSo(link)) return true
    throw new Error(`it is still ${JSON.stringify(link)}`)
  })
  return link ?? assert.fail('eventually has not looked')
}
