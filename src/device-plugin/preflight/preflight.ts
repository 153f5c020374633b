// `device-plugin --check`: whether this node can do what is asked of it, as data. It only reads, asks neither the API server nor
// the kubelet for anything, and needs no more rights than to read.
import type { LinksShown } from '../host-links.ts'
import { type CardReport, type CardPlaces, cardReports } from './cards.ts'
import { bad, type Finding, good } from './finding.ts'
import { type KernelPlaces, kernelReport } from './kernel.ts'
import { kubeletFindings, type KubeletPlaces } from './kubelet.ts'
import { writeCombining } from './write-combining.ts'

export type PreflightPlaces = KernelPlaces & CardPlaces & KubeletPlaces

export interface Preflight {
  readonly kernel: string
  readonly findings: readonly Finding[]
  readonly cards: readonly CardReport[]
}

export async function preflight(places: PreflightPlaces): Promise<Preflight> {
  const kernel = kernelReport(places)
  const seen = await cardReports(places, kernel.canBindVfio !== false).catch((error: unknown) => String(error))
  const unread =
    typeof seen === 'string'
      ? [bad('network cards', seen, "mount the host's /sys, and use its network (hostNetwork)")]
      : []
  const cards = typeof seen === 'string' ? [] : seen
  const tells = writeCombining(
    places,
    cards.map(({ pciAddress }) => pciAddress),
  )
  const findings = [
    ...kernel.findings,
    ...tells,
    interfacesFinding(await places.links.show()),
    ...(await kubeletFindings(places)),
    ...unread,
  ]
  return { kernel: places.release, findings, cards }
}

function interfacesFinding(shown: LinksShown): Finding {
  const what = 'network interfaces'
  if (shown.kind === 'shown') return good(what, `${shown.links.length} shown by ip`)
  return bad(what, shown.message, 'install iproute2; no card is taken while the interfaces are not known')
}

export function isGood({ findings }: Preflight): boolean {
  return findings.every(({ verdict }) => verdict !== 'bad')
}
