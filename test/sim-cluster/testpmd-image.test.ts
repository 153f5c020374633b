// The image with dpdk-testpmd has all that it needs: it runs with nothing else of this machine than /sys.
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { thisHost } from '../../sim/cluster/host.ts'
import {
  obtainTestpmd,
  testpmdImage,
  type TestpmdPrograms,
  writeTestpmdImage,
} from '../../sim/cluster/image/testpmd-image.ts'
import { runCommand } from '../../sim/cluster/run-command.ts'

const host = thisHost()
const found = await obtainTestpmd({ ...host, uid: undefined }, () => {}).catch((error: Error) => error)
const skip =
  (found instanceof Error && found.message) || (host.uid !== 0 && 'another root directory and a mount take root')

test('testpmd moves packets with the files of its image alone', { skip }, async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), 'testpmd-image-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const archive = path.join(directory, 'testpmd.tar')
  await writeTestpmdImage(archive, found as TestpmdPrograms)
  const root = await unpacked(archive, directory)

  // Two rings in memory instead of cards: what testpmd sends into one it receives from it. Without a terminal it stops by itself.
  const memory = ['--no-pci', '--no-huge', '-m', '64']
  const rings = ['--vdev=net_ring0', '--vdev=net_ring1']
  const forwarding = ['--total-num-mbufs=2048', '--auto-start', '--tx-first']
  const command = ['exec', 'dpdk-testpmd', ...memory, ...rings, '--', ...forwarding].join(' ')
  const inRoot = ['/bin/sh', '-c', `PATH=/bin:/usr/bin ${command}`]
  const withSys = 'mount --bind /sys "$0/sys" && exec chroot "$0" "$@"'
  const output = await runCommand('unshare', ['--mount', '--', 'sh', '-c', withSys, root, ...inRoot])

  const sent = [...output.matchAll(/Forward statistics for port (\d) .*\n.*\n +TX-packets: (\d+)/g)]
  assert.deepEqual(
    sent.map(([, port]) => port),
    ['0', '1'],
  )
  const aBurst = 32
  for (const [line, , packets] of sent) assert.ok(Number(packets) >= aBurst, line)
  assert.match(output, /Bye\.\.\.\s*$/)
})

test('where testpmd is missing one line says what to install', async () => {
  const elsewhere = { uid: 1000, searchDirs: [], cniPluginDirs: [] }
  await assert.rejects(
    obtainTestpmd(elsewhere, () => {}),
    /missing: dpdk-testpmd, statically linked busybox; as root: apt-get install dpdk-dev busybox-static/,
  )
})

/** As a container sees the image: its layers over each other. */
async function unpacked(archive: string, directory: string): Promise<string> {
  await runCommand('tar', ['-xf', archive, '-C', directory])
  const [image] = JSON.parse(readFileSync(path.join(directory, 'manifest.json'), 'utf8'))
  assert.deepEqual(image.RepoTags, [testpmdImage])
  const root = path.join(directory, 'root')
  mkdirSync(root)
  for (const layer of image.Layers) await runCommand('tar', ['-xf', path.join(directory, layer), '-C', root])
  return root
}
