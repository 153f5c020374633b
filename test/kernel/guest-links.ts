// The interfaces of a virtual machine's own network namespace, as its `ip` shows them.
import assert from 'node:assert/strict'
import type { GuestNode } from '../../sim/cluster/node/guest-node.ts'
import type { HostLink } from '../../src/device-plugin/host-links.ts'
import { parseLinks } from '../../src/device-plugin/iproute-links.ts'

export async function guestLinks({ guest }: GuestNode): Promise<readonly HostLink[]> {
  const groups = await guest.run('ip', ['-j', 'maddress', 'show'])
  const shown = parseLinks(await guest.run('ip', ['-j', '-d', 'address', 'show']), groups)
  assert.ok(shown.kind === 'shown', JSON.stringify(shown))
  return shown.links
}

/** Looks until the interface is so; what it is like then. */
export async function linkOnce(
  node: GuestNode,
  mac: string,
  isSo: (link: HostLink) => boolean,
  signal: AbortSignal,
): Promise<HostLink> {
  for (;;) {
    const link = (await guestLinks(node)).find((seen) => seen.mac === mac)
    if (link !== undefined && isSo(link)) return link
    if (!signal.aborted) continue
    throw new Error(`the interface with MAC ${mac} of ${node.name} is still ${JSON.stringify(link)}`)
  }
}
