// `make setup`: obtains the binaries and host tools of a cluster ahead of its first start, with progress.
import { obtainHostTools } from './host-tools.ts'
import { binaryPlaces, obtainBinaries } from './obtain.ts'

const log = (line: string) => void process.stdout.write(`${line}\n`)
try {
  await obtainHostTools(log)
  await obtainBinaries(binaryPlaces(process.env), log)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}
