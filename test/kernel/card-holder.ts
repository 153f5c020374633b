// A process of a guest, outside every pod, that has a card and does not let go of it before it is ended. Each is a few lines of Perl, for
// what it does are single ioctls of Linux 6.1 on x86-64.
import type { Guest } from '../../sim/guest/guest.ts'

/** It has written a line when it holds what it should. */
const start = `pipe=$(mktemp -u); mkfifo "$pipe"
setsid perl -e "$@" >"$pipe" 2>&1 </dev/null &
read -r line <"$pipe"
rm "$pipe"
echo "$line"
[ "$line" = holds ] || exit 1
echo $!`

/** vfio.h: VFIO_GROUP_SET_CONTAINER, VFIO_SET_IOMMU to VFIO_TYPE1_IOMMU, VFIO_GROUP_GET_DEVICE_FD. */
const openGroup = `use Fcntl; $| = 1;
sysopen(my $group, $ARGV[0], O_RDWR) or die "open: $!\\n";`
const openDevice = `sysopen(my $container, '/dev/vfio/vfio', O_RDWR) or die "open container: $!\\n";
ioctl($group, 0x3b68, pack('i', fileno $container)) or die "set container: $!\\n";
ioctl($container, 0x3b66, 1) or die "set IOMMU: $!\\n";
ioctl($group, 0x3b6a, my $name = "$ARGV[1]\\0") or die "get device: $!\\n";`
const hold = 'print "holds\\n"; sleep;'

/** sockios.h and ethtool.h: SIOCETHTOOL, ETHTOOL_PHYS_ID without an end, of `struct ifreq`. */
const blink = `$| = 1; socket(my $any, 2, 2, 0) or die "socket: $!\\n"; print "holds\\n";
my $command = pack('LL', 0x1c, 0);
ioctl($any, 0x8946, pack('a16 P x16', $ARGV[0], $command)) or die "identify: $!\\n";`

export class CardHolder implements AsyncDisposable {
  readonly pid: number
  readonly #guest: Guest

  private constructor(guest: Guest, pid: number) {
    this.#guest = guest
    this.pid = pid
  }

  /** Has the group open and nothing else. */
  static ofGroup(guest: Guest, deviceNode: string): Promise<CardHolder> {
    return CardHolder.#start(guest, [openGroup, hold], deviceNode)
  }

  /** Has the group and the device open, as DPDK does. */
  static ofDevice(guest: Guest, deviceNode: string, pciAddress: string): Promise<CardHolder> {
    return CardHolder.#start(guest, [openGroup, openDevice, hold], deviceNode, pciAddress)
  }

  /** `ethtool --identify`: lets the card blink, and the kernel's driver cannot give its interface up meanwhile. */
  static async ofInterface(guest: Guest, name: string): Promise<CardHolder> {
    const holder = await CardHolder.#start(guest, [blink], name)
    // It has nothing before the kernel is in the ioctl: number 16, with SIOCETHTOOL as its second argument.
    await guest.script(`until grep -q '^16 0x[0-9a-f]* 0x8946' /proc/${holder.pid}/syscall; do sleep 0.05; done`)
    return holder
  }

  static async #start(guest: Guest, program: readonly string[], ...args: readonly string[]): Promise<CardHolder> {
    const output = await guest.run('bash', ['-c', start, 'start', program.join('\n'), ...args])
    const [, pid] = output.trim().split('\n')
    return new CardHolder(guest, Number(pid))
  }

  /** Resolves when it is gone, and what it had open is closed. */
  async end(): Promise<void> {
    await this.#guest.script(`kill -KILL ${this.pid} && while kill -0 ${this.pid} 2>/dev/null; do sleep 0.05; done`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end().catch(() => undefined)
  }
}
