# The guest's second process 1: what the boot of a node does before its container runtime starts. The host writes it, with the
# settings above it, into the directory that both share.
#   NODE_DIR, NAME, ADDRESS, PRIMARY_MAC, AGENT_PORT; NO_IOMMU_VFIO: vfio.ko with no-IOMMU mode, empty for the distribution's
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root NODE_DIR ERRORS_DIR=/run

give_up() {
  echo "guest: $1"
  sync
  echo o >/proc/sysrq-trigger
  sleep 60
}

hostname "$NAME"

# What outlives a reboot: the state of kubelet, containerd and device plugin, and the logs of pods.
mkdir -p /disk
mount -t ext4 /dev/vda /disk || give_up 'the disk cannot be mounted'
mkdir -p /disk/lib /disk/log
mount --bind /disk/lib /var/lib || give_up '/var/lib cannot be mounted'
mount --bind /disk/log /var/log || give_up '/var/log cannot be mounted'

if [ -n "$NO_IOMMU_VFIO" ]; then
  modprobe irqbypass
  insmod "$NO_IOMMU_VFIO" enable_unsafe_noiommu_mode=1 || give_up 'vfio with no-IOMMU mode does not load'
fi
# e1000e is here what ena is on EC2: the driver that a card finds when it comes, loaded already.
for module in e1000e vfio-pci veth; do
  modprobe "$module" || give_up "module $module does not load"
done

# Names interfaces, those of cards that come later too. Nothing else of the machine is of use here.
/lib/systemd/systemd-udevd --daemon || give_up 'udev does not start'
udevadm trigger --subsystem-match=net --action=add
udevadm settle --timeout=30

ip link set lo up
for link in /sys/class/net/*; do
  [ "$(cat "$link/address")" = "$PRIMARY_MAC" ] && primary=${link##*/}
done
[ -n "$primary" ] || give_up "no interface has the MAC $PRIMARY_MAC"
ip link set "$primary" up
# QEMU's user-mode network gives the first address and the gateway; the second is the one by which the cluster knows the node.
ip address add 10.0.2.15/24 dev "$primary"
ip address add "$ADDRESS/32" dev "$primary"
ip route add default via 10.0.2.2

# With nofork the shell has the connection itself, and nobody is between.
socat "TCP-LISTEN:$AGENT_PORT,reuseaddr,fork" "EXEC:/bin/sh $NODE_DIR/agent.sh,nofork" &
echo 'guest: ready'
# Also waits for processes that have lost their parent.
wait
give_up 'the agent has ended'
