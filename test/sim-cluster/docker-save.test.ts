// An image archive says what a container runtime asks of one in the format of `docker save`.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { writeDockerSave } from '../../sim/cluster/image/docker-save.ts'
import { tarArchive } from '../../sim/cluster/image/tar-archive.ts'
import { runCommand } from '../../sim/cluster/run-command.ts'

test('each image has its name, its configuration and its layers by their digests; a shared layer is there once', async (t) => {
  const directory = temporaryDirectory(t)
  const base = layer(directory, 'base')
  const [one, two] = [layer(directory, 'one'), layer(directory, 'two')]
  const archive = path.join(directory, 'images.tar')
  const config = { Env: ['PATH=/bin'], WorkingDir: '/app' }
  await writeDockerSave(archive, [
    { name: 'localhost/one:1', config, layers: [base.file, one.file] },
    { name: 'localhost/two:1', config: { Env: [] }, layers: [base.file, two.file] },
  ])

  const content = path.join(directory, 'content')
  mkdirSync(content)
  await runCommand('tar', ['-xf', archive, '-C', content])
  assert.deepEqual(json(content, 'manifest.json'), [
    { Config: 'config-0.json', RepoTags: ['localhost/one:1'], Layers: [`${base.digest}.tar`, `${one.digest}.tar`] },
    { Config: 'config-1.json', RepoTags: ['localhost/two:1'], Layers: [`${base.digest}.tar`, `${two.digest}.tar`] },
  ])
  const first = json(content, 'config-0.json')
  assert.deepEqual(first.config, config)
  assert.deepEqual(first.rootfs.diff_ids, [`sha256:${base.digest}`, `sha256:${one.digest}`])
  for (const { digest, bytes } of [base, one, two]) {
    assert.deepEqual(readFileSync(path.join(content, `${digest}.tar`)), bytes)
  }
  assert.equal(readdirSync(content).length, 6)
  // The parts are not left behind.
  assert.deepEqual(readdirSync(directory).toSorted(), ['base.tar', 'content', 'images.tar', 'one.tar', 'two.tar'])
})

interface WrittenLayer {
  readonly file: string
  readonly bytes: Buffer
  readonly digest: string
}

function layer(directory: string, name: string): WrittenLayer {
  const file = path.join(directory, `${name}.tar`)
  const bytes = tarArchive([{ path: name, kind: 'file', content: Buffer.from(name), mode: 0o644 }])
  writeFileSync(file, bytes)
  return { file, bytes, digest: createHash('sha256').update(bytes).digest('hex') }
}

function json(directory: string, file: string) {
  return JSON.parse(readFileSync(path.join(directory, file), 'utf8'))
}

function temporaryDirectory(t: TestContext): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'docker-save-'))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}
