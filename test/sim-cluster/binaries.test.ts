// Where the cluster's binaries come from: a given directory, the cache, a download with its checksum, a build from Go modules.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, watch, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { test, type TestContext } from 'node:test'

import type { BinaryGroup } from '../../sim/cluster/binaries/group.ts'
import { binaryPlaces, obtainGroup } from '../../sim/cluster/binaries/obtain.ts'
import { runCommand } from '../../sim/cluster/run-command.ts'

const version = '3.7.3'
const script = '#!/bin/sh\necho published\n'

class Place {
  readonly root = mkdtempSync(join(tmpdir(), 'binaries-'))
  readonly cacheDir = join(this.root, 'cache')
  readonly lines: string[] = []
  /** What the release site serves, by path. */
  readonly published = new Map<string, Buffer>()
  readonly asked: string[] = []
  site = ''
  goCommands = binaryPlaces(process.env).goCommands

  /** A group of one program. */
  group(fields: Partial<BinaryGroup> = {}): BinaryGroup {
    return {
      name: 'etcd',
      version,
      binaries: ['etcd'],
      releases: [{ url: `${this.site}/etcd`, checksumUrl: `${this.site}/etcd.sha256` }],
      build: { moduleDir: join(this.root, 'module'), packages: ['.'], flags: ['-ldflags', '-s -w'] },
      ...fields,
    }
  }

  obtain(group: BinaryGroup, givenDir?: string, signal?: AbortSignal): Promise<string> {
    const { cacheDir, goCommands } = this
    return obtainGroup(group, { cacheDir, givenDir, goCommands }, (line) => this.lines.push(line), signal)
  }

  publish(fileName: string, content: Buffer | string, checksum = sha256(content)): void {
    this.published.set(`/${fileName}`, Buffer.from(content))
    this.published.set(`/${fileName}.sha256`, Buffer.from(`${checksum}  ${fileName}\n`))
  }

  /** A Go module without dependencies, so that the build needs no network. */
  writeModule(source: string): void {
    mkdirSync(join(this.root, 'module'))
    writeFileSync(join(this.root, 'module/go.mod'), 'module example.com/etcd\n\ngo 1.21\n')
    writeFileSync(join(this.root, 'module/main.go'), source)
  }

  executable(directory: string, name: string, content: string = script): string {
    mkdirSync(join(this.root, directory), { recursive: true })
    writeFileSync(join(this.root, directory, name), content, { mode: 0o755 })
    return join(this.root, directory)
  }
}

async function place(t: TestContext): Promise<Place> {
  const made = new Place()
  const server = createServer(({ url = '' }, response) => {
    made.asked.push(url)
    const body = made.published.get(url)
    response.writeHead(body === undefined ? 404 : 200).end(body)
  })
  made.site = `http://${await listening(server)}`
  t.after(() => {
    server.close()
    server.closeAllConnections()
    rmSync(made.root, { recursive: true })
  })
  return made
}

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Of a server that has just ended: nobody listens there. */
async function closedAddress(): Promise<string> {
  const server = createServer()
  const address = await listening(server)
  server.close()
  return address
}

function sha256(content: Buffer | string): string {
  return createHash('sha256').update(content).digest('hex')
}

test('the cache is outside the checkout, where XDG says or in the home directory', () => {
  assert.equal(binaryPlaces({ XDG_CACHE_HOME: '/c' }).cacheDir, '/c/jit-eni/bin')
  assert.match(binaryPlaces({}).cacheDir, /\/\.cache\/jit-eni\/bin$/)
  assert.equal(binaryPlaces({ JIT_ENI_BIN_DIR: '/given' }).givenDir, '/given')
})

test('a given directory comes first, and nothing is asked of the release site', async (t) => {
  const at = await place(t)
  const given = at.executable('given', 'etcd')
  assert.equal(await at.obtain(at.group(), given), given)
  assert.deepEqual(at.asked, [])
})

test('a given directory without the program is named, and the search goes on', async (t) => {
  const at = await place(t)
  at.publish('etcd', script)
  mkdirSync(join(at.root, 'given'))
  const found = await at.obtain(at.group(), join(at.root, 'given'))
  assert.match(at.lines.join('\n'), /JIT_ENI_BIN_DIR=.*given has no etcd/)
  assert.equal(readFileSync(join(found, 'etcd'), 'utf8'), script)
})

test('what was downloaded is executable, and the next search takes it from the cache', async (t) => {
  const at = await place(t)
  at.publish('etcd', script)
  const found = await at.obtain(at.group())
  assert.equal((statSync(join(found, 'etcd')).mode & 0o777).toString(8), '755')
  assert.equal((await runCommand(join(found, 'etcd'), [])).trim(), 'published')
  at.asked.length = 0
  assert.equal(await at.obtain(at.group()), found)
  assert.deepEqual(at.asked, [])
})

test('two searches at the same time download once', async (t) => {
  const at = await place(t)
  at.publish('etcd', script)
  const [one, other] = await Promise.all([at.obtain(at.group()), at.obtain(at.group())])
  assert.equal(one, other)
  assert.equal(at.asked.filter((url) => url === '/etcd').length, 1)
})

test('of a published archive only the programs are kept', async (t) => {
  const at = await place(t)
  at.executable('etcd-release', 'etcd')
  at.executable('etcd-release', 'etcdctl')
  await runCommand('tar', ['-czf', join(at.root, 'etcd.tar.gz'), '-C', at.root, 'etcd-release'])
  at.publish('etcd.tar.gz', readFileSync(join(at.root, 'etcd.tar.gz')))
  const url = `${at.site}/etcd.tar.gz`
  const found = await at.obtain(
    at.group({ releases: [{ url, checksumUrl: `${url}.sha256`, archiveFolder: 'etcd-release' }] }),
  )
  assert.deepEqual(readdirSync(found), ['etcd'])
})

test('a file with another checksum than the published one is never used: the program is built instead', async (t) => {
  const at = await place(t)
  at.publish('etcd', script, sha256('something else'))
  at.writeModule('package main\n\nfunc main() { println("built") }\n')
  const found = await at.obtain(at.group())
  assert.match(
    at.lines.join('\n'),
    /no download \(.*has SHA-256 .* published is .*\), building from Go modules instead/,
  )
  assert.notEqual(readFileSync(join(found, 'etcd'), 'latin1').slice(0, 2), '#!')
  assert.deepEqual(readdirSync(found), ['etcd'])
})

test('a release site that cannot be reached is no obstacle where there is Go', async (t) => {
  const at = await place(t)
  at.site = `http://${await closedAddress()}`
  at.writeModule('package main\n\nfunc main() {}\n')
  const found = await at.obtain(at.group())
  await runCommand(join(found, 'etcd'), [])
  assert.match(at.lines.join('\n'), /no download \(127\.0\.0\.1:\d+: .*ECONNREFUSED.*\), building/)
})

test('a build that fails says what Go said, and leaves nothing in the cache', async (t) => {
  const at = await place(t)
  at.writeModule('package main\n\nfunc main() { undefinedName() }\n')
  await assert.rejects(
    at.obtain(at.group()),
    /building etcd 3\.7\.3 from Go modules failed:[^]*undefinedName[^]*JIT_ENI_BIN_DIR[^]*install Go/,
  )
  assert.deepEqual(readdirSync(at.cacheDir), [])
})

test('Ctrl-C ends a build, and leaves nothing in the cache', async (t) => {
  const at = await place(t)
  const started = join(at.root, 'started')
  const go = `#!/bin/sh\n[ $1 = version ] && exit 0\ntouch ${started}\nexec sleep 300\n`
  at.goCommands = [join(at.executable('slow', 'go', go), 'go')]
  at.writeModule('package main\n\nfunc main() {}\n')
  const interrupted = new AbortController()
  const watcher = watch(at.root)
  t.after(() => watcher.close())
  const isStarted = new Promise<void>((resolve) =>
    watcher.on('change', (_event, name) => name === basename(started) && resolve()),
  )
  const obtaining = assert.rejects(at.obtain(at.group(), undefined, interrupted.signal), /^Error: interrupted$/)
  await isStarted
  interrupted.abort(new Error('interrupted'))
  await obtaining
  assert.deepEqual(readdirSync(at.cacheDir), [])
})

test('what a process left in the cache that was killed at this is removed by the next', async (t) => {
  const at = await place(t)
  at.publish('etcd', script)
  at.executable('cache/.unfinished-kubernetes-a1b2c3', 'kubelet')
  const found = await at.obtain(at.group())
  assert.deepEqual(readdirSync(at.cacheDir), [basename(found)])
})

test('without a download and without Go it is said what can be done', async (t) => {
  const at = await place(t)
  at.goCommands = ['/nonexistent/go']
  await assert.rejects(
    at.obtain(at.group()),
    /etcd 3\.7\.3 is missing: the download failed \(.*HTTP 404\) and there is no Go[^]*JIT_ENI_BIN_DIR[^]*install Go/,
  )
})
