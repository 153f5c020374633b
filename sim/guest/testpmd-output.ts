// What dpdk-testpmd (22.11) has counted, from its output. It shows the counters of the cards each time that `--stats-period` is over
// (nic_stats_display in app/test-pmd/config.c), and what it has forwarded when it ends (fwd_stats_display in app/test-pmd/testpmd.c).
export interface PortPackets {
  readonly port: number
  readonly received: number
  /** The card had no room for them: testpmd fetched too few. */
  readonly lost: number
  readonly sent: number
  /** The card did not take or did not send them. */
  readonly unsent: number
}

// Each wants what follows the last number: the end of the output may be half a line.
const cardBlock =
  /NIC statistics for port (\d+) .*\n +RX-packets: (\d+) +RX-missed: (\d+) .*\n.*\n.*\n +TX-packets: (\d+) +TX-errors: (\d+) /g
const forwardBlock =
  /Forward statistics for port (\d+) .*\n +RX-packets: (\d+) +RX-dropped: (\d+) .*\n +TX-packets: (\d+) +TX-dropped: (\d+) /g

/** The newest counters of each card; none before testpmd forwards and has shown them for the first time. */
export function cardStatistics(output: string): PortPackets[] {
  return newestOfEachPort(output, cardBlock)
}

/** Of the whole run; none before testpmd has ended. */
export function forwardStatistics(output: string): PortPackets[] {
  return newestOfEachPort(output, forwardBlock)
}

function newestOfEachPort(output: string, block: RegExp): PortPackets[] {
  const newest = new Map<number, PortPackets>()
  for (const [, ...numbers] of output.matchAll(block)) {
    const [port = NaN, received = NaN, lost = NaN, sent = NaN, unsent = NaN] = numbers.map(Number)
    newest.set(port, { port, received, lost, sent, unsent })
  }
  return [...newest.values()].toSorted((a, b) => a.port - b.port)
}
