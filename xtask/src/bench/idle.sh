# Runs in a guest whose clock counts instructions: the loops beside nothing, beside the errno watch, and beside the errno
# watch with kernel paths, in turns.
set -e
mkdir -p /mnt
measure() {
	echo "$1"
	/bin/loops bench-loops --idle
}
watched() {
	said=/run/said.$1
	: >"$said"
	diag watch --json --capture "$1" --budget 100 >/dev/null 2>"$said" &
	watch=$!
	until grep -q '^watching' "$said"; do
		kill -0 "$watch"
		sleep 0.1
	done
	# It measures its own programs for the first second.
	sleep 3
	measure "$1"
	kill -INT "$watch"
	# 1: something failed meanwhile, which is no matter.
	wait "$watch" || [ "$?" = 1 ]
	cat "$said" >&2
}
for round in $(seq "$ROUNDS"); do
	measure nothing
	watched light
	watched path
done
