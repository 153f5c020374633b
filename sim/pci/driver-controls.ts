// The control files below sys/bus/pci and what a write to each does to the card that it names.
import type { PluggedCard } from './card.ts'
import { ControlFile, makeControlFiles } from './control-file.ts'
import { driverNames, type DriverBinding } from './driver-binding.ts'
import type { SysfsTree } from './sysfs-tree.ts'

type Effect = (card: PluggedCard) => void | Promise<void>

export interface DriverControlsOptions {
  readonly tree: SysfsTree
  readonly binding: DriverBinding
  readonly cardAt: (bdf: string) => PluggedCard | undefined
  /** Takes what no writer waits for. */
  readonly supervise: (work: Promise<void>) => void
}

export async function openDriverControls(options: DriverControlsOptions): Promise<readonly ControlFile[]> {
  const { tree, binding } = options
  const effects = new Map<string, Effect>([['drivers_probe', (card) => binding.probe(card)]])
  for (const driver of driverNames) {
    effects.set(`drivers/${driver}/bind`, (card) => binding.bind(card, driver))
    effects.set(`drivers/${driver}/unbind`, (card) => binding.unbind(card, driver))
  }
  const path = (file: string) => tree.at('sys/bus/pci', file)
  await makeControlFiles([...effects.keys()].map(path))
  return Array.from(
    effects,
    ([file, effect]) => new ControlFile(path(file), (bdf) => options.supervise(written(options, file, bdf, effect))),
  )
}

async function written(options: DriverControlsOptions, file: string, bdf: string, effect: Effect): Promise<void> {
  const { binding, cardAt } = options
  const card = cardAt(bdf)
  if (card === undefined) return binding.refuseUnknown(file, bdf)
  await card.lock.run(() => {
    // The card may have gone while the write waited for its turn.
    if (cardAt(bdf) !== card) return binding.refuseUnknown(file, bdf)
    return effect(card)
  })
}
