// The command line of the preflight: `--check` prints text, `--check --json` the same as data.
import { release } from 'node:os'

import { SettingsError } from '../../process/settings.ts'
import { IprouteLinks } from '../iproute-links.ts'
import { preflightPlaces } from '../settings.ts'
import { isGood, preflight } from './preflight.ts'
import { preflightText } from './text.ts'

export interface CommandResult {
  /** 0: nothing is bad. 1: something is. 2: asked wrongly. */
  readonly code: 0 | 1 | 2
  readonly text: string
}

const usage = 'usage: main.js [--check [--json]]: without arguments it runs, with --check it only looks at the node\n'

export async function checkCommand(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<CommandResult> {
  const [check, format, ...more] = args
  if (check !== '--check' || !(format === undefined || format === '--json') || more.length > 0) {
    return { code: 2, text: usage }
  }
  try {
    const places = {
      ...preflightPlaces(env),
      libModules: '/lib/modules',
      boot: '/boot',
      release: release(),
      links: new IprouteLinks(),
    }
    const report = await preflight(places)
    const text = format === '--json' ? `${JSON.stringify(report, undefined, 2)}\n` : preflightText(report)
    return { code: isGood(report) ? 0 : 1, text }
  } catch (error) {
    if (error instanceof SettingsError) return { code: 2, text: `${error.message}\n` }
    throw error
  }
}
