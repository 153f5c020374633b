// However a cluster ends, in the middle of its start or by SIGKILL of its owner, nothing of it stays on the machine.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeSpec } from '../../sim/cluster/node/cluster-node.ts'
import { Place } from '../../sim/cluster/place.ts'
import { runCommand } from '../../sim/cluster/run-command.ts'
import { startCluster } from '../../sim/cluster/start-cluster.ts'
import { assertNothingLeft, processesOf, runDirectoriesOf, tracesOf, tracesOfBlock } from './machine-traces.ts'

const skip = process.getuid?.() === 0 ? false : 'needs root'
const goneDeadlineMs = 10_000
const print = (line: string) => console.log(`# ${line}`)

const nodeA: NodeSpec = { name: 'node-a', providerID: 'aws:///eu-west-1a/i-0aaaaaaaaaaaaaaaa' }
const nodeB: NodeSpec = { name: 'node-b', providerID: 'aws:///eu-west-1b/i-0bbbbbbbbbbbbbbbb' }

test('a start that fails shows the log of what failed and leaves nothing', { skip }, async () => {
  const lines: string[] = []
  // A kubelet may not give itself a label like this one, and ends.
  const labels = { 'kubernetes.io/not-for-kubelets': 'true' }
  const nodes = [nodeB, { ...nodeA, labels }]
  await assert.rejects(
    startCluster({ nodes, log: (line) => lines.push(line) }),
    /kubelet of node-a ended[^]*not-for-kubelets/,
  )
  assertNothingLeft(lines)
})

test('a start that is aborted leaves nothing', { skip }, async () => {
  const lines: string[] = []
  const abort = new AbortController()
  const log = (line: string) => {
    lines.push(line)
    if (line.startsWith('control plane ready')) abort.abort(new Error('enough'))
  }
  await assert.rejects(startCluster({ nodes: [nodeA, nodeB], log, signal: abort.signal }), /enough/)
  assertNothingLeft(lines)
})

test('a cluster ends with its owner, and the next one removes what is left', { skip }, async () => {
  const entry = path.join(import.meta.dirname, '../../sim/cluster/start-cluster.ts')
  const program = `
    const { startCluster } = await import(${JSON.stringify(entry)})
    const cluster = await startCluster({ nodes: [${JSON.stringify(nodeA)}], log: console.error })
    console.log(cluster.runDir, cluster.server)
    setInterval(() => {}, 1000)`
  const owner = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = (await once(createInterface(owner.stdout), 'line')) as [string]
  const [runDir = '', server = ''] = line.split(' ')
  assert.notDeepEqual(processesOf(runDir), [])

  owner.kill('SIGKILL')

  const startedAt = Date.now()
  while (processesOf(runDir).length > 0) {
    assert.ok(Date.now() - startedAt < goneDeadlineMs, `still running: ${processesOf(runDir).join(', ')}`)
    await sleep(50)
  }
  assert.ok(existsSync(runDir))
  const next = await startCluster({ nodes: [], log: print })
  await next.stop()
  assert.deepEqual(tracesOf(runDir), [])
  assertNothingLeft([server])
})

test('what cannot be given back is said, all else is, and a later start finds the rest', { skip }, async () => {
  const place = await Place.take(print)
  const { apiServer } = place.addresses
  const nodes = [await place.addresses.claimNode(0), await place.addresses.claimNode(1)]
  await runCommand('ip', ['address', 'delete', `${nodes[0]}/32`, 'dev', 'lo'])

  await assert.rejects(place.giveBack(), new RegExp(`ip address delete ${nodes[0]}/32`))

  assert.deepEqual(tracesOfBlock(apiServer), [`lo ${apiServer}`], 'which keeps the others out')
  assert.deepEqual(runDirectoriesOf(process.pid), [place.runDir])
  const ownerFile = path.join(place.runDir, 'owner.json')
  const owner = JSON.parse(readFileSync(ownerFile, 'utf8')) as object
  writeFileSync(ownerFile, JSON.stringify({ ...owner, startTicks: 'of a process that has ended' }))
  const next = await Place.take(print)
  await next.giveBack()
  assert.deepEqual(tracesOf(place.runDir), [])
  assertNothingLeft([`https://${apiServer}`])
})
