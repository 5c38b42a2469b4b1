#!/bin/busybox sh
# Process 1 of a guest: makes an ordinary Linux out of an initramfs, runs one job, reports, powers off.
# Output goes to the host through virtio ports named out, err and end; the first serial port is the console.

# 1. Leave the initramfs. Its root can be neither pivoted away nor unmounted, which container engines need.
if [ -e /guest/initramfs ]; then
	mkdir /new
	mount -t tmpfs -o size=90%,mode=755 root /new
	cp /bin/busybox /new/busybox
	rm /guest/initramfs
	for entry in /*; do
		case $entry in /new | /dev | /init) ;; *) /new/busybox mv "$entry" /new/ ;; esac
	done
	# switch_root looks for /init to know that it is about to empty an initramfs, not somebody's disk.
	/new/busybox cp /init /new/init
	/new/busybox mkdir /new/dev
	exec /new/busybox switch_root /new /init
fi
rm -f /busybox

# 2. What a distribution mounts.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C TERM=dumb
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o newinstance,ptmxmode=666,mode=620 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t mqueue mqueue /dev/mqueue
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs varlib /var/lib
mount -t tracefs tracefs /sys/kernel/tracing
mount -t debugfs debugfs /sys/kernel/debug 2>/dev/null
mount -t securityfs securityfs /sys/kernel/security 2>/dev/null
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
ln -s /proc/self/fd /dev/fd 2>/dev/null
ln -s /proc/mounts /etc/mtab
while read -r module; do
	insmod "/guest/modules/$module" || echo "init: cannot load $module"
done </guest/modules/order
hostname guest
ip link set lo up

# 3. The job: the variable `cgroup`, exported variables, and the words to run as "$@".
. /guest/job
if [ "$cgroup" = v1 ]; then
	mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
	while read -r name _ _ enabled; do
		case $name in \#*) continue ;; esac
		[ "$enabled" = 1 ] || continue
		mkdir "/sys/fs/cgroup/$name"
		mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" || rmdir "/sys/fs/cgroup/$name"
	done </proc/cgroups
	mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified
	mount -t cgroup -o none,name=systemd systemd /sys/fs/cgroup/systemd
	mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
else
	mount -t cgroup2 cgroup2 /sys/fs/cgroup
	for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
		echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control
	done
fi
# As under systemd: what is mounted is seen everywhere unless somebody says otherwise.
mount --make-rshared /

# 4. The ports to the host.
port() {
	tries=0
	while [ "$tries" -lt 100 ]; do
		for folder in /sys/class/virtio-ports/*; do
			if [ "$(cat "$folder/name" 2>/dev/null)" = "$1" ]; then
				echo "/dev/${folder##*/}"
				return
			fi
		done
		tries=$((tries + 1))
		sleep 0.1
	done
	echo /dev/console
}
out=$(port out) err=$(port err) end=$(port end)

# 5. Run. Pipes lie between the job and the ports, so that the job does not believe to be on a terminal.
run() {
	mkfifo /run/guest.out /run/guest.err
	cat /run/guest.out >"$out" &
	copy_out=$!
	cat /run/guest.err >"$err" &
	copy_err=$!
	cd /root
	"$@" >/run/guest.out 2>/run/guest.err </dev/null
	code=$?
	# Processes left behind by the job may hold the pipes open; what they still say is not waited for.
	tries=0
	while [ "$tries" -lt 30 ] && { kill -0 "$copy_out" || kill -0 "$copy_err"; } 2>/dev/null; do
		tries=$((tries + 1))
		sleep 0.1
	done
	echo "ended $code" >"$end"
	poweroff -f
}
if [ "$manager" = systemd ]; then
	# The job is a child of process 1, whoever that is.
	run "$@" &
	exec /lib/systemd/systemd --unit=basic.target
fi
run "$@"
