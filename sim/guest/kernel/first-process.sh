#!/bin/busybox sh
# First process of a guest. Puts the guest onto the machine's own file system and hands over to <node.dir>/init, run by /bin/sh:
# the machine's root is shared read-only (9p tag "hostroot"), with a tmpfs above it, so that all programs of the machine are there
# and nothing that the guest writes reaches them; the node's directory (9p tag "node") is shared for reading and writing.
#
# Kernel command line, paths without spaces:
#   node.dir=DIR   where to mount the share "node": the path that the directory has on the machine
#   node.tree=DIR  the directory of the machine that has lib/modules/<version> of this kernel
#   console=ttyS0  where it is said what fails, in one line that begins with "guest: "; the guest is off after that
#
# /tmp stays the machine's: node.dir or the checkout may be below it. /run and /dev are the guest's own.

die() {
  echo "guest: $*"
  poweroff -f
}

argument() {
  for word in $(cat /proc/cmdline); do
    case $word in "$1="*) echo "${word#*=}" ;; esac
  done
}

/bin/busybox mkdir -p /proc /sys /dev /lower /upper /newroot
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc || die "cannot mount /proc"
mount -t sysfs sysfs /sys || die "cannot mount /sys"
mount -t devtmpfs devtmpfs /dev || die "cannot mount /dev"

node_dir=$(argument node.dir)
node_tree=$(argument node.tree)
version=$(uname -r)
[ -n "$node_dir" ] || die "the kernel command line has no node.dir="
[ -n "$node_tree" ] || die "the kernel command line has no node.tree="

# Each module comes after those that it needs.
while read -r module; do
  insmod "/modules/$module" || die "module $module does not load"
done < /modules/order

root=/newroot
shared() { # tag, directory, options
  mount -t 9p -o "trans=virtio,version=9p2000.L,msize=524288,$3" "$1" "$2" || die "cannot mount the 9p share $1"
}
# The guest may keep in memory what it has read: it sees a program that is replaced on the machine later only after its next start.
shared hostroot /lower ro,cache=loose
mount -t tmpfs -o mode=755 tmpfs /upper || die "no tmpfs for what the guest writes"
mkdir /upper/files /upper/work
mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work overlay $root ||
  die "cannot mount the overlay above the machine's root"

for directory in proc sys dev; do
  mkdir -p $root/$directory
  mount --move /$directory $root/$directory || die "cannot move /$directory to the new root"
done
mounted() { # type, options, directory
  mkdir -p "$root$3"
  mount -t "$1" -o "$2" "$1" "$root$3" || die "cannot mount $1 on $3"
}
mounted devpts gid=5,mode=620,ptmxmode=666 /dev/pts
mounted tmpfs mode=1777 /dev/shm
mounted hugetlbfs mode=755 /dev/hugepages
mounted mqueue nosuid,nodev,noexec /dev/mqueue
mounted cgroup2 nsdelegate /sys/fs/cgroup
# udev makes these on a machine.
ln -s /proc/self/fd $root/dev/fd
ln -s /proc/self/fd/0 $root/dev/stdin
ln -s /proc/self/fd/1 $root/dev/stdout
ln -s /proc/self/fd/2 $root/dev/stderr

[ -d "$root$node_tree/lib/modules/$version" ] || die "$node_tree has no lib/modules/$version"
mkdir -p "$root/lib/modules/$version"
mount --bind "$root$node_tree/lib/modules/$version" "$root/lib/modules/$version" ||
  die "cannot bind the modules of $version below /lib/modules"
mounted tmpfs mode=755 /run
mkdir -p "$root$node_dir"
# What either side writes the other must see at once.
shared node "$root$node_dir" rw,cache=none
[ -f "$root$node_dir/init" ] || die "the share node has no file init"

# A kubelet needs a root whose mounts pods can be told of.
mount --make-rshared $root || die "cannot make the mounts of the new root shared"
cd $root || die "cannot enter the new root"
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec /bin/switch_root $root /bin/sh "$node_dir/init"
