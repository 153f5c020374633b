// Finds the kernel proper in the file that a boot loader loads, which unpacks itself when it is started.
// Layout: Documentation/arch/x86/boot.rst of the kernel.

const bootSectorBytes = 512
const setupSectorsOffset = 0x1f1
const magicOffset = 0x202
const versionOffset = 0x206
const payloadOffsetOffset = 0x248
const payloadLengthOffset = 0x24c
const headerEnd = 0x250
/** The first version of the boot protocol that says where the payload is. */
const payloadVersion = 0x0208
const xzMagic = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])

/** The kernel as an xz stream, with the length of what is in it (4 bytes) behind it; throws when it is something else. */
export function xzPayload(bootFile: Buffer): Buffer {
  const isKernel = bootFile.length > headerEnd && bootFile.toString('latin1', magicOffset, magicOffset + 4) === 'HdrS'
  if (!isKernel || bootFile.readUInt16LE(versionOffset) < payloadVersion) throw new Error('it is no x86 kernel')
  // The boot sector itself comes before the sectors of the set-up code.
  const setupBytes = (bootFile.readUInt8(setupSectorsOffset) + 1) * bootSectorBytes
  const start = setupBytes + bootFile.readUInt32LE(payloadOffsetOffset)
  const payload = bootFile.subarray(start, start + bootFile.readUInt32LE(payloadLengthOffset))
  if (!payload.subarray(0, xzMagic.length).equals(xzMagic)) throw new Error('it is not compressed with xz')
  return payload
}
