// docs/device-plugin.md lists every reason, every event, every metric and every setting that there is.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { DevicePluginMetrics } from '../../src/device-plugin/metrics.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const page = read('docs/device-plugin.md')

/** First words in code of the rows of a table, by the heading above it. */
function rowsBelow(heading: string): readonly string[] {
  const section = page.split(`\n## ${heading}\n`)[1]?.split('\n## ')[0] ?? assert.fail(`no heading ${heading}`)
  return Array.from(section.matchAll(/^\| `([^`]+)`/gm), ([, word = '']) => word).sort()
}

/** A type has no values at run time, so its text is read. */
function reasons(): readonly string[] {
  const [, union = ''] =
    /interface StepFailure \{\s+readonly reason:([^]*?)readonly message/.exec(read('src/device-plugin/step.ts')) ?? []
  return Array.from(union.matchAll(/'(\w+)'/g), ([, reason = '']) => reason).sort()
}

test('every reason of a failure is explained', () => {
  assert.ok(reasons().length > 10)
  const rows = rowsBelow('Failures')
  const missing = reasons().filter((reason) => !rows.includes(reason))
  assert.deepEqual(missing, [], 'a reason of step.ts needs a row in docs/device-plugin.md')
})

test('every other event on the Node is named', () => {
  const events = read('src/device-plugin/node-events.ts').matchAll(/record\(\s*'(?:Warning|Normal)',\s*'(\w+)'/g)
  const names = Array.from(events, ([, name = '']) => name)
  assert.ok(names.length >= 3)
  for (const name of names) assert.match(page, new RegExp(`\`${name}\``))
})

test('every metric is listed', () => {
  const prefix = 'jiteni_device_plugin_'
  const metrics = new DevicePluginMetrics().registry.getMetricsAsArray().map(({ name }) => name)
  const ours = metrics.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length))
  const rows = rowsBelow('Metrics')
  const missing = ours.filter((name) => !rows.includes(name))
  assert.deepEqual(missing, [], 'a metric needs a row in docs/device-plugin.md')
})

test('every setting is listed, and no other', () => {
  const names = read('src/device-plugin/settings.ts').matchAll(/^ {2,4}(NODE_NAME|KUBECONFIG|LOG_LEVEL|JIT_ENI_\w+):/gm)
  assert.deepEqual(rowsBelow('Settings'), Array.from(names, ([, name = '']) => name).sort())
})
