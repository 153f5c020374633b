// `node dist/process/probe.js URL`: exit code 0 when the URL answers 200. For exec probes of servers on loopback.

const url = process.argv[2] ?? ''
const answer = await fetch(url, { signal: AbortSignal.timeout(4_000) }).catch((error: unknown) => String(error))
if (typeof answer === 'string' || answer.status !== 200) {
  const said = typeof answer === 'string' ? answer : (await answer.text()).trim()
  process.stderr.write(`${url}: ${said}\n`)
  process.exit(1)
}
