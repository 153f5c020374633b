// `make setup`: obtains the binaries and host tools of a cluster ahead of its first start, with progress.
import { requireRoot, thisHost } from '../host.ts'
import { interruption } from '../interruption.ts'
import { obtainHostTools } from './host-tools.ts'
import { binaryPlaces, obtainBinaries } from './obtain.ts'

const log = (line: string) => void process.stdout.write(`${line}\n`)
const signal = interruption(log)
try {
  const host = thisHost()
  requireRoot(host)
  await obtainHostTools(host, log)
  await obtainBinaries(binaryPlaces(process.env), log, signal)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = signal.aborted ? 130 : 1
}
process.exit()
