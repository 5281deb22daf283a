#!/bin/sh
# Throughput and latency of `staleproof serve` beside the real memcached, in one run.
#
#   benches/serving.sh [SECONDS]      each measurement takes so long; 5 when not given
#
# Needs memcached and memcaslap (Debian: memcached, libmemcached-tools) and a release build.
# memcaslap runs with 1, 16 and 64 connections, text and binary; then a pipelined multi-get
# load of our own (benches/multiget.py). Ratios below 0.7 make it fail.
set -eu
seconds=${1:-5}
binary=${CARGO_TARGET_DIR:-target}/release/staleproof
directory=$(mktemp -d)
memcached -l 127.0.0.1 -p 21311 -U 0 -m 512 -c 4096 -u "$(id -un)" & real=$!
"$binary" serve --listen 127.0.0.1:21312 --memory 512 >/dev/null & ours=$!
trap 'kill $real $ours; rm -rf "$directory"' EXIT
sleep 1

slap() { # port connections arguments...
    port=$1; connections=$2; shift 2
    threads=2; [ "$connections" -ge 2 ] || threads=1
    memcaslap -s "127.0.0.1:$port" -T $threads -c "$connections" -t "${seconds}s" -S "${seconds}s" \
        -X 1024 "$@" \
        >"$directory/out" 2>/dev/null
    tps=$(sed -n 's/.*TPS: \([0-9]*\).*/\1/p' "$directory/out" | tail -1)
    # memcaslap counts latencies by powers of two: an upper bound of the 99th percentile.
    p99=$(awk '/^Total Statistics \(/ { total = 1 }
        total && /^ *[0-9]+:/ { first = $1 + 0
            for (i = 2; i <= NF; i++) { n++; bound[n] = 2 ^ (first + i - 2); seen[n] = $i; sum += $i } }
        END { for (i = 1; i <= n; i++) { part += seen[i]
            if (part >= 0.99 * sum) { print bound[i]; exit } } }' "$directory/out")
}

failed=0
row() { # name real-value real-p99 our-value our-p99
    ratio=$(awk "BEGIN { printf \"%.2f\", $4 / $2 }")
    printf '%-28s %12s %10s %12s %10s %6s\n' "$1" "$2" "$3" "$4" "$5" "$ratio"
    awk "BEGIN { exit !($ratio < 0.7) }" && failed=1 || true
}

printf '%-28s %12s %10s %12s %10s %6s\n' load 'memcached/s' 'p99 us' 'serve/s' 'p99 us' ratio
for protocol in text binary; do
    option=; [ $protocol = text ] || option=-B
    for connections in 1 16 64; do
        slap 21311 $connections $option; real_tps=$tps; real_p99=$p99
        slap 21312 $connections $option
        row "$protocol, $connections connections" "$real_tps" "$real_p99" "$tps" "$p99"
    done
done
for connections in 1 16; do
    set -- $(python3 benches/multiget.py 21311 "$seconds" $connections) \
        $(python3 benches/multiget.py 21312 "$seconds" $connections)
    row "multi-get, $connections connections" "$1" "$2" "$3" "$4"
done
exit $failed
