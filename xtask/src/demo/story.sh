#!/bin/sh
# The demo's story, told the same way on this machine and in a guest; run by busybox sh.
#
# Given: BUSYBOX and DIAG (static programs), WORK (an empty folder that may be thrown away).
# Ends with 0 only when diag explained the refusal by fs.mount-max.

LIMIT=/proc/sys/fs/mount-max
export DIAG_ROOT=$WORK/engine DIAG_JOURNAL=$WORK/journal.db
ready_within=120
most_containers=20

say() {
	printf '\n== %s\n\n' "$*"
}

# As one would type it, then its output.
show() {
	printf '$ %s\n' "$*"
	"$@"
}

diag() {
	"$DIAG" "$@"
}

mounts() {
	"$BUSYBOX" wc -l <"${1:-/proc/self/mountinfo}"
}

# Once, on every way out: the limit, containers, the watch, the folder.
clean_up() {
	trap '' EXIT INT TERM HUP
	echo "$limit_before" >"$LIMIT"
	number=0
	while [ "$number" -le "$started" ]; do
		diag rm -f "demo-$number" >/dev/null 2>&1
		number=$((number + 1))
	done
	stop_watch
	rm -rf "$WORK"
}

stop_watch() {
	[ -n "$watch" ] || return 0
	kill -TERM "$watch" 2>/dev/null
	wait "$watch" "$reader" 2>/dev/null
	watch=
}

give_up() {
	printf '\ndemo: %s\n' "$*" >&2
	exit 2
}

limit_before=$(cat "$LIMIT") || give_up "cannot read $LIMIT"
started=0 watch=
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say 'An image made of one static program'
mkdir -p "$WORK/rootfs/bin" || give_up "cannot write to $WORK"
cp "$BUSYBOX" "$WORK/rootfs/bin/busybox"
for applet in sh sleep cat wc; do
	ln -s busybox "$WORK/rootfs/bin/$applet"
done
show diag import "$WORK/rootfs" busybox || give_up 'the image cannot be imported'

say 'How many mounts a container needs while it starts'
show diag run --name demo-0 busybox wc -l /proc/self/mountinfo >"$WORK/needs" || give_up 'a container cannot be started'
cat "$WORK/needs"
own=$(sed -n 's/^\([0-9][0-9]*\) .*/\1/p' "$WORK/needs")
[ -n "$own" ] || give_up 'the container did not count its mounts'
diag rm -f demo-0 >/dev/null

say 'diag watches the whole machine'
# On an emulated processor everything takes more than its budget.
printf '$ diag watch --budget 100 &\n'
mkfifo "$WORK/watch"
while IFS= read -r line; do
	printf '    watch | %s\n' "$line"
	: >"$WORK/watch.spoke"
done <"$WORK/watch" &
reader=$!
"$DIAG" watch --budget 100 >"$WORK/watch" 2>"$WORK/watch.err" &
watch=$!
waited=0
until grep -q '^watching' "$WORK/watch.err"; do
	kill -0 "$watch" 2>/dev/null || { cat "$WORK/watch.err" >&2; give_up 'diag watch ended'; }
	[ "$waited" -lt $((ready_within * 5)) ] || give_up 'diag watch is not ready'
	waited=$((waited + 1))
	sleep 0.2
done
cat "$WORK/watch.err"

say 'Somebody sets a limit that nobody remembers (restored at the end)'
here=$(mounts)
limit=$((here + own + 3))
printf 'this mount namespace holds %s mounts; the limit was %s\n' "$here" "$limit_before"
printf '$ sysctl -w fs.mount-max=%s\n' "$limit"
echo "$limit" >"$LIMIT" || give_up "cannot write $LIMIT"

say 'Containers are started until one is refused'
while :; do
	started=$((started + 1))
	[ "$started" -le "$most_containers" ] || give_up "$most_containers containers started and none was refused"
	show diag run -d --name "demo-$started" busybox sleep 600 || break
done
refused=demo-$started
waited=0
until [ -e "$WORK/watch.spoke" ] || [ "$waited" -ge 50 ]; do
	waited=$((waited + 1))
	sleep 0.2
done

say 'The disk is not full'
show df -h "$WORK"

say 'The containers are gone, the limit is as before: nothing of it is left to look at'
echo "$limit_before" >"$LIMIT"
number=1
while [ "$number" -le "$started" ]; do
	show diag rm -f "demo-$number"
	number=$((number + 1))
done
stop_watch

say "Yet diag knows why $refused failed"
show diag explain "$refused"
answer=$(diag explain "$refused" --json)
case $answer in
*'"cause": "mount-max"'* | *'"cause":"mount-max"'*)
	say 'diag found it: fs.mount-max'
	;;
*)
	printf '%s\n' "$answer" >&2
	give_up 'the explanation does not name mount-max'
	;;
esac
