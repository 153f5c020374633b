// A layer with a program of this machine runs without this machine, and every name of a file leads to the one file there too.
import assert from 'node:assert/strict'
import { copyFileSync, lstatSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { writeProgramLayer, type LayerProgram } from '../../sim/cluster/image/program-layer.ts'
import { runCommand } from '../../sim/cluster/run-command.ts'

const skip = process.getuid?.() === 0 ? false : 'another root directory takes root'

test('a program runs in its layer alone, with its shared libraries', { skip }, async (t) => {
  const { root } = await unpackedLayer(t, [{ file: process.execPath, as: '/usr/bin/node' }])
  assert.equal(await runCommand('chroot', [root, '/usr/bin/node', '--version']), `${process.version}\n`)
  assert.ok(lstatSync(path.join(root, 'usr/bin/node')).isFile())
})

test('symbolic links on the way are kept, relative and absolute, of files and of directories', async (t) => {
  const machine = temporaryDirectory(t)
  mkdirSync(path.join(machine, 'real'))
  copyFileSync(realpathSync('/bin/true'), path.join(machine, 'real/program.1.0'))
  symlinkSync('program.1.0', path.join(machine, 'real/program.1'))
  symlinkSync('real', path.join(machine, 'by-name'))
  symlinkSync(path.join(machine, 'by-name/../by-name/program.1'), path.join(machine, 'program'))

  const { root, members } = await unpackedLayer(t, [{ file: path.join(machine, 'program') }])
  const inLayer = (name: string) => path.join(machine, name).slice(1)
  assert.deepEqual(
    members.filter((name) => name.startsWith(machine.slice(1))).toSorted(),
    ['by-name', 'program', 'real/program.1', 'real/program.1.0'].map(inLayer),
  )
  // Seen with the layer as root directory an absolute link leads into the layer.
  const target = await runCommand('readlink', [path.join(root, inLayer('program'))])
  assert.equal(target.trim(), path.join(machine, 'by-name/../by-name/program.1'))
  const files = ['by-name/program.1', 'real/program.1.0'].map((name) => statSync(path.join(root, inLayer(name))).ino)
  assert.equal(new Set(files).size, 1)
})

test('a link to itself is no program', async (t) => {
  const directory = temporaryDirectory(t)
  const loop = path.join(directory, 'loop')
  symlinkSync(loop, loop)
  await assert.rejects(writeProgramLayer(path.join(directory, 'layer.tar'), [{ file: loop }]))
})

async function unpackedLayer(
  t: TestContext,
  programs: readonly LayerProgram[],
): Promise<{ root: string; members: string[] }> {
  const directory = temporaryDirectory(t)
  const layer = path.join(directory, 'layer.tar')
  await writeProgramLayer(layer, programs)
  const root = path.join(directory, 'root')
  mkdirSync(root)
  await runCommand('tar', ['-xf', layer, '-C', root])
  const members = (await runCommand('tar', ['-tf', layer])).trim().split('\n')
  return { root, members }
}

function temporaryDirectory(t: TestContext): string {
  const directory = realpathSync(mkdtempSync(path.join(tmpdir(), 'program-layer-')))
  t.after(() => rmSync(directory, { recursive: true }))
  return directory
}
