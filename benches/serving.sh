#!/bin/sh
# Throughput and latency of `staleproof serve` beside the real memcached, in one run.
#
#   benches/serving.sh [SECONDS [ROUNDS]]     how long each measurement takes, and how often
#                                             it is repeated; 2 and 5 when not given
#
# Needs memcached and memcaslap (Debian: memcached, libmemcached-tools) and a release build.
# memcaslap runs with 1, 16 and 64 connections, text and binary; then a pipelined multi-get
# load of our own (benches/multiget.py). The two servers take turns, and what is printed are
# medians over the rounds. Ratios below 0.7 make it fail.
set -eu
seconds=${1:-2}
rounds=${2:-5}
binary=${CARGO_TARGET_DIR:-target}/release/staleproof
directory=$(mktemp -d)
memcached -l 127.0.0.1 -p 21311 -U 0 -m 512 -c 4096 -u "$(id -un)" & real=$!
"$binary" serve --listen 127.0.0.1:21312 --memory 512 >/dev/null & ours=$!
trap 'kill $real $ours; rm -rf "$directory"' EXIT
sleep 1

slap() { # port connections arguments...: throughput and 99th percentile
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
    echo "$tps $p99"
}

failed=0
median() { # file column
    sort -n -k "$2,$2" "$1" | awk -v column="$2" '{ value[NR] = $column } END { print value[int((NR + 1) / 2)] }'
}

row() { # name command arguments...: the command is told a port before its other arguments
    name=$1; command=$2; shift 2
    : >"$directory/real"; : >"$directory/ours"
    for _ in $(seq "$rounds"); do
        $command 21311 "$@" >>"$directory/real"
        $command 21312 "$@" >>"$directory/ours"
    done
    real_rate=$(median "$directory/real" 1); our_rate=$(median "$directory/ours" 1)
    ratio=$(awk "BEGIN { printf \"%.2f\", $our_rate / $real_rate }")
    printf '%-28s %12s %10s %12s %10s %6s\n' "$name" "$real_rate" \
        "$(median "$directory/real" 2)" "$our_rate" "$(median "$directory/ours" 2)" "$ratio"
    awk "BEGIN { exit !($ratio < 0.7) }" && failed=1 || true
}

multiget() { # port connections
    python3 benches/multiget.py "$1" "$seconds" "$2"
}

printf '%-28s %12s %10s %12s %10s %6s\n' load 'memcached/s' 'p99 us' 'serve/s' 'p99 us' ratio
for protocol in text binary; do
    option=; [ $protocol = text ] || option=-B
    for connections in 1 16 64; do
        row "$protocol, $connections connections" slap $connections $option
    done
done
for connections in 1 16; do
    row "multi-get, $connections connections" multiget $connections
done
exit $failed
