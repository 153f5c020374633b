// The preflight as plain text for a terminal.
import type { CardReport } from './cards.ts'
import type { Finding } from './finding.ts'
import type { Preflight } from './preflight.ts'

export function preflightText({ kernel, findings, cards }: Preflight): string {
  const wrong = findings.filter(({ verdict }) => verdict === 'bad').length
  const end = wrong === 0 ? 'nothing is bad' : `${wrong} of ${findings.length} ${wrong === 1 ? 'is' : 'are'} bad`
  return [`kernel ${kernel}`, '', ...findingLines(findings), '', ...cardLines(cards), '', end, ''].join('\n')
}

function findingLines(findings: readonly Finding[]): string[] {
  const width = Math.max(...findings.map(({ what }) => what.length))
  return findings.flatMap(({ verdict, what, found, advice }) => {
    const mark = verdict === 'bad' ? 'BAD' : verdict
    const line = `${mark.padEnd(4)}  ${what.padEnd(width)}  ${found}`
    return advice === undefined ? [line] : [line, `${''.padEnd(width + 8)}-> ${advice}`]
  })
}

const heads = ['card', 'id', 'driver', 'MAC', 'interface', 'group', 'NUMA']

function cardLines(cards: readonly CardReport[]): string[] {
  if (cards.length === 0) return ['no network card on the PCI bus']
  const rows = cards.map(({ pciAddress, deviceID, driver, mac, interfaces, group, numaNode }) =>
    [pciAddress, deviceID, driver, mac, interfaces.join(), group, numaNode].map((cell) => String(cell ?? '-') || '-'),
  )
  const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, nth) => cell.padEnd(widths[nth] ?? 0))
      .join('  ')
      .trimEnd()
  return [line(heads), ...cards.flatMap((card, nth) => [line(rows[nth] ?? []), ...verdictLines(card)])]
}

function verdictLines({ ownedBy, withDPDK, withoutDPDK }: CardReport): string[] {
  const owner = ownedBy === undefined ? [] : [`  of ENIAttachment ${ownedBy}`]
  if (withDPDK === withoutDPDK) return [...owner, `  ${withDPDK}`]
  return [...owner, `  with enableDPDK:    ${withDPDK}`, `  without enableDPDK: ${withoutDPDK}`]
}
