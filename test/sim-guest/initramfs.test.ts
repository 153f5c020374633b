// The pure parts of what a guest boots: which modules in which order, the archive of the first root, the kernel in its boot file.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { xzPayload } from '../../sim/guest/kernel/compressed-image.ts'
import { cpioArchive } from '../../sim/guest/kernel/cpio-archive.ts'
import { imageVersion, sourceVersion } from '../../sim/guest/kernel/distribution-kernel.ts'
import { loadOrder } from '../../sim/guest/kernel/load-order.ts'

const dep = `kernel/net/failover.ko:
kernel/drivers/virtio.ko: kernel/drivers/virtio_ring.ko
kernel/drivers/virtio_ring.ko:
kernel/drivers/virtio_net.ko: kernel/drivers/virtio.ko kernel/drivers/virtio_ring.ko kernel/net/failover.ko
kernel/drivers/virtio-rng.ko.xz: kernel/drivers/virtio.ko kernel/drivers/virtio_ring.ko
`

test('a module is loaded after those that it needs, and each once', () => {
  assert.deepEqual(loadOrder(['virtio_net', 'virtio_rng'], dep, ''), [
    'kernel/net/failover.ko',
    'kernel/drivers/virtio_ring.ko',
    'kernel/drivers/virtio.ko',
    'kernel/drivers/virtio_net.ko',
    'kernel/drivers/virtio-rng.ko.xz',
  ])
})

test('what is built into the kernel needs no file, and what it has not is named', () => {
  assert.deepEqual(loadOrder(['ext4', 'failover'], dep, 'kernel/fs/ext4/ext4.ko\n'), ['kernel/net/failover.ko'])
  assert.throws(() => loadOrder(['ext4'], dep, ''), { message: 'the kernel has no module ext4' })
})

test('an archive is what the kernel unpacks: each name and content at a multiple of four bytes, and a trailer', () => {
  const archive = cpioArchive([
    { path: 'bin', kind: 'directory' },
    { path: 'bin/sh', kind: 'file', content: Buffer.from('hello'), mode: 0o755 },
  ]).toString('latin1')
  const zero = '00000000'
  const expected = [
    `07070100000001000041ed${zero}${zero}00000002${zero}${zero}${zero}${zero}${zero}${zero}00000004${zero}bin\0\0\0`,
    `07070100000002000081ed${zero}${zero}00000001${zero}00000005${zero}${zero}${zero}${zero}00000007${zero}bin/sh\0\0\0\0`,
    'hello\0\0\0',
    `07070100000000${zero}${zero}${zero}00000001${zero}${zero}${zero}${zero}${zero}${zero}0000000b${zero}TRAILER!!!\0\0\0\0`,
  ]
  assert.equal(archive, expected.join(''))
})

function bootFile(payload: Buffer, protocol = 0x020f): Buffer {
  const setup = Buffer.alloc(1024)
  setup.writeUInt8(1, 0x1f1)
  setup.write('HdrS', 0x202)
  setup.writeUInt16LE(protocol, 0x206)
  setup.writeUInt32LE(16, 0x248)
  setup.writeUInt32LE(payload.length, 0x24c)
  return Buffer.concat([setup, Buffer.alloc(16), payload, Buffer.from('what comes behind it')])
}

test('the kernel is cut out of its boot file where the header says', () => {
  const xz = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 1, 2, 3, 4])
  assert.deepEqual(xzPayload(bootFile(xz)), xz)
})

test('a boot file of another kind is refused', () => {
  const gzip = Buffer.from([0x1f, 0x8b, 0, 0, 0, 0, 0, 0])
  assert.throws(() => xzPayload(bootFile(gzip)), { message: 'it is not compressed with xz' })
  assert.throws(() => xzPayload(bootFile(gzip, 0x0207)), { message: 'it is no x86 kernel' })
  assert.throws(() => xzPayload(Buffer.alloc(4096)), { message: 'it is no x86 kernel' })
  assert.throws(() => xzPayload(Buffer.from('short')), { message: 'it is no x86 kernel' })
})

test('the version of the kernel is that of the package on which the newest one depends', () => {
  assert.equal(imageVersion(['linux-base', 'linux-image-6.1.0-56-amd64']), '6.1.0-56-amd64')
  assert.equal(imageVersion(['linux-image-cloud-amd64']), undefined)
})

test('the source is that of the very package, else of the same upstream release', () => {
  const offered = ['6.1.192-3', '6.1.192-1', '6.1.190-1']
  assert.equal(sourceVersion('6.1.192-1', offered), '6.1.192-1')
  assert.equal(sourceVersion('6.1.192-2', offered), '6.1.192-3')
  assert.equal(sourceVersion('6.1.187-1', offered), undefined)
  assert.equal(sourceVersion('6.1.192-1+b1', ['6.1.19-1']), undefined)
})
