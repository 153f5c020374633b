// The counts in the output of a real dpdk-testpmd 22.11 with two rings in memory for cards, --stats-period 1, ended by SIGTERM.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { cardStatistics, forwardStatistics } from '../../sim/guest/testpmd-output.ts'

const output = readFileSync(path.join(import.meta.dirname, 'testpmd-output.txt'), 'utf8')
const firstShown = output.indexOf('Throughput', output.indexOf('for port 1 '))

test('the counters of the cards are the newest that were shown', () => {
  assert.deepEqual(cardStatistics(output.slice(0, firstShown)), [
    { port: 0, received: 22944, lost: 0, sent: 22944, unsent: 0 },
    { port: 1, received: 25312, lost: 0, sent: 25376, unsent: 0 },
  ])
  assert.deepEqual(cardStatistics(output), [
    { port: 0, received: 511673312, lost: 0, sent: 511673344, unsent: 0 },
    { port: 1, received: 511673312, lost: 0, sent: 511673344, unsent: 0 },
  ])
})

test('the statistics of the whole run are there at its end, without the sum over all ports', () => {
  assert.deepEqual(forwardStatistics(output.slice(0, firstShown)), [])
  assert.deepEqual(forwardStatistics(output), [
    { port: 0, received: 669495808, lost: 0, sent: 669495840, unsent: 0 },
    { port: 1, received: 669495808, lost: 0, sent: 669495840, unsent: 0 },
  ])
})

test('what is lost is told from what is received, and what is unsent from what is sent', () => {
  const inUse = output
    .replaceAll(/RX-(missed|dropped): 0 {2}/g, 'RX-$1: 17 ')
    .replaceAll(/TX-(errors|dropped): 0 {2}/g, 'TX-$1: 23 ')
  const counts = [...cardStatistics(inUse), ...forwardStatistics(inUse)]
  assert.deepEqual(
    counts.map(({ lost, unsent }) => [lost, unsent]),
    [...Array(4)].map(() => [17, 23]),
  )
})

test('output that is cut anywhere gives no number that was not there', () => {
  const shown = new Set([22944, 25312, 25376, 511673312, 511673344, 669495808, 669495840])
  for (let end = 0; end <= output.length; end += 1) {
    const cut = output.slice(0, end)
    for (const { received, sent } of [...cardStatistics(cut), ...forwardStatistics(cut)]) {
      assert.ok(shown.has(received) && shown.has(sent), `${received} and ${sent} at ${end}`)
    }
  }
})
