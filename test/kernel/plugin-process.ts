// The process of the device plugin in a guest, and what one that leaks has more and more of.
import type { Guest } from '../../sim/guest/guest.ts'

export interface PluginProcess {
  readonly pid: string
  readonly files: number
  readonly children: number
  readonly residentMiB: number
}

// The brackets keep it from finding the shell that looks for it.
const look = `pid=$(pgrep -f -x 'node .*dist/device-plugin/main[.]js')
ls /proc/$pid/fd | wc -l
pgrep -P $pid | wc -l
sed -n 's/^VmRSS:[^0-9]*//p' /proc/$pid/status
echo $pid`

export async function pluginProcess(guest: Guest): Promise<PluginProcess> {
  const [files = '', children = '', resident = '', pid = ''] = (await guest.script(look)).trim().split('\n')
  return { pid, files: Number(files), children: Number(children), residentMiB: Number.parseInt(resident, 10) / 1024 }
}
