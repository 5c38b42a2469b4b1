#!/bin/sh
# What `cargo xtask service` has happen in its guest: systemd is process 1, docker is one of its services, and
# diag is to be another. Each line of the answer is `ok` or `FAILED` with what was promised.

failed=0
ok() { echo "ok      $1"; }
bad() {
	echo "FAILED  $1"
	sed 's/^/        /' /tmp/said
	failed=1
}
# check WHAT COMMAND…: the command succeeds.
check() {
	what=$1
	shift
	if "$@" >/tmp/said 2>&1; then ok "$what"; else bad "$what"; fi
}
# soon COMMAND…: it succeeds within ten minutes; an emulated processor is slow.
soon() {
	tries=0
	until "$@" >/tmp/said 2>&1; do
		tries=$((tries + 1))
		[ "$tries" -lt 1200 ] || return 1
		sleep 0.5
	done
}
property() { systemctl show --property "$2" --value "$1"; }
# refused NAME: a container that may have one task, and wants two.
refused() { docker run --name "$1" --pids-limit 1 $unconfined bb:1 /bin/sh -c 'sleep 0 & wait'; }
explained() { diag explain --json "$1" 2>/tmp/gaps | grep -q "\"cause\": *\"$2\""; }
# How often the container's failures happened, as the journal has it.
counted() { diag explain --all --json "$1" 2>/dev/null | awk -F'[:,]' '/"count":/ { sum += $2 } END { print sum + 0 }'; }
more_than() { [ "$(counted storm)" -gt "$1" ]; }
watches_anew() { [ "$(property diag-watch MainPID)" != "$1" ] && systemctl is-active --quiet diag-watch; }

# It answers once it listens; whether all of its own units are well is not the question here.
soon systemctl show --property Version || exit 2
unconfined=
[ -d /sys/kernel/security/apparmor ] && unconfined='--security-opt apparmor=unconfined'
ln -sfn ../run /var/run
mkdir -p /etc/systemd/system/docker.service.d /etc/systemd/system/docker.socket.d /etc/systemd/system/diag-watch.service.d
# There is no journald here.
printf '[Service]\nStandardOutput=append:/watch\nStandardError=append:/watch\n' >/etc/systemd/system/diag-watch.service.d/guest.conf
cat >/etc/systemd/system/docker.service.d/guest.conf <<-END
	[Service]
	ExecStart=
	ExecStart=/bin/dockerd -H fd:// --containerd=/run/containerd/containerd.sock --bridge=none --iptables=false --ip6tables=false
END
printf '[Socket]\nSocketGroup=root\n' >/etc/systemd/system/docker.socket.d/guest.conf
systemctl daemon-reload

check 'diag service install starts it' diag service install
if [ "$failed" = 1 ]; then
	# Nothing of the rest can be.
	systemctl status --no-pager diag-watch
	tail -n 60 /watch
	exit 1
fi
check 'diag service status says that it runs' diag service status
systemctl stop diag-watch
check 'engine and watch are started together' systemctl start docker diag-watch
check 'the watch was armed before dockerd was executed' \
	[ "$(property diag-watch ActiveEnterTimestampMonotonic)" -lt "$(property docker ExecMainStartTimestampMonotonic)" ]

mkdir -p /tmp/image/bin /tmp/image/mnt
cp /bin/busybox /tmp/image/bin/
for applet in sh sleep mount true; do ln -s busybox "/tmp/image/bin/$applet"; done
tar -C /tmp/image -c . | docker import - bb:1 >/tmp/said 2>&1 || bad 'docker import'
refused first >/dev/null 2>&1
check 'a refusal in a container is kept and explained' soon explained first pids-max

watch=$(property diag-watch MainPID)
check 'docker is restarted' systemctl restart docker
check 'the watch lives on' [ "$watch" = "$(property diag-watch MainPID)" ]
refused second >/dev/null 2>&1
check 'it sees the containers of the new daemon' soon explained second pids-max

mkdir -p /usr/local/bin
cp /bin/diag /usr/local/bin/diag
check 'another program is installed over it' /usr/local/bin/diag service install
check 'and runs in its place' [ "$(readlink "/proc/$(property diag-watch MainPID)/exe")" = /usr/local/bin/diag ]
check 'what the old one kept is there' explained first pids-max
check 'the pause between them is told' grep -q 'not watched from .* (the watch ended)' /tmp/gaps

docker run --detach --name storm $unconfined bb:1 /bin/sh -c 'while :; do mount -t tmpfs none /mnt; done' >/dev/null 2>&1
check 'a storm of failures is counted' soon more_than 20
watch=$(property diag-watch MainPID)
kill -KILL "$watch"
known=$(counted storm)
check 'killed, it is started again' soon watches_anew "$watch"
check 'nothing that was counted is lost' [ "$(counted storm)" -ge "$known" ]
check 'the storm is counted again' soon more_than "$known"
diag explain storm >/dev/null 2>/tmp/gaps
check 'the time without a watch is told' grep -q 'not watched from .* (the watch was killed' /tmp/gaps
docker rm -f storm >/dev/null 2>&1

systemd-analyze security --no-pager diag-watch 2>/dev/null | tail -n 1 | sed 's/^[^O]*/        /'
check 'diag service remove takes it away' diag service remove
check 'and nothing of it runs' [ "$(property diag-watch ActiveState)" = inactive ]
[ "$failed" = 0 ] || tail -n 60 /watch
exit "$failed"
