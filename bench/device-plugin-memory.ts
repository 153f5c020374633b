// `make bench-memory`: the memory of the device plugin while the kubelet gets 10,000 device lists, of the program and of its child
// that writes to sysfs; and what each package costs that it imports. Run from src as in development, and from dist with the command
// of deploy/device-plugin.yaml. The API server (over TLS), kubelet and PCI bus are stand-ins in this process, the load is
// memory/device-lives.ts: about three lists, seven watch events, two binds and five writes to the API server for each device.
//
// `make bench-memory LISTS=1000` for a quick look.
import { mkdirSync, writeFileSync } from 'node:fs'

import { deployManifests } from '../sim/installation/manifests.ts'
import { importCosts } from './memory/import-costs.ts'
import { MeasuredPlugin, type Sample } from './memory/measured-plugin.ts'

const results = new URL('results/', import.meta.url)
const lists = Number(process.env['LISTS'] || 10_000)
const samples = 10

const commands: Readonly<Record<string, readonly string[]>> = {
  src: ['node', 'src/device-plugin/main.ts'],
  dist: shippedCommand(),
}

function shippedCommand(): readonly string[] {
  const daemonSet = deployManifests().find(
    ({ kind, metadata }) => kind === 'DaemonSet' && metadata.name === 'jit-eni-device-plugin',
  ) as unknown as { spec: { template: { spec: { containers: { command: string[] }[] } } } }
  const command = daemonSet.spec.template.spec.containers[0]?.command
  if (command === undefined) throw new Error('deploy/device-plugin.yaml has no command')
  return command
}

const cell = (value: number | undefined) => (value === undefined ? '-' : value.toFixed(1)).padStart(11)

async function measureImports(): Promise<object> {
  console.log(`${'imports'.padEnd(30)}${['RSS MB', 'Pss MB', 'own MB'].map((head) => head.padStart(11)).join('')}`)
  const costs = await importCosts()
  for (const [name, { rssMB, pssMB, anonymousMB }] of costs)
    console.log(`${name.padEnd(30)}${[rssMB, pssMB, anonymousMB].map(cell).join('')}`)
  return Object.fromEntries(costs)
}

async function measure(command: readonly string[]): Promise<readonly Sample[]> {
  const heads = ['events', 'RSS MB', 'Pss MB', 'own MB', 'heap MB', 'writer RSS', 'writer Pss', 'sum RSS', 'sum Pss']
  console.log(`\n${command.join(' ')}\n${'lists'.padEnd(8)}${heads.map((head) => head.padStart(11)).join('')}`)
  const plugin = await MeasuredPlugin.start(command)
  const taken: Sample[] = []
  try {
    await plugin.measure(lists, Math.ceil(lists / samples), (sample) => {
      taken.push(sample)
      console.log(rowOf(sample))
    })
  } finally {
    await plugin.stop()
  }
  return taken
}

function rowOf({ lists: seen, watchEvents, program, writer, heapUsedMB }: Sample): string {
  const numbers = [
    program.rssMB,
    program.pssMB,
    program.anonymousMB,
    heapUsedMB,
    writer?.rssMB,
    writer?.pssMB,
    program.rssMB + (writer?.rssMB ?? 0),
    program.pssMB + (writer?.pssMB ?? 0),
  ]
  return `${String(seen).padEnd(8)}${String(watchEvents).padStart(11)}${numbers.map(cell).join('')}`
}

const imports = await measureImports()
const runs: Record<string, readonly Sample[]> = {}
for (const [name, command] of Object.entries(commands)) runs[name] = await measure(command)
mkdirSync(results, { recursive: true })
writeFileSync(new URL('memory.json', results), `${JSON.stringify({ imports, runs }, undefined, 2)}\n`)
