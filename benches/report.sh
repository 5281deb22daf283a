#!/usr/bin/env bash
# Runs the benchmarks that are compared, one after the other, and writes reports/benchmarks.md
# from criterion's files and from what the programs beside our peers print.
#
#   benches/report.sh                 all of it
#   benches/report.sh NAME...         only these (patterns simulation exploration shrinking
#                                     checking peers serving load); of the others the last
#                                     results stay, each with its date. One more,
#                                     exploration_bounds, takes a quarter of an hour and is run
#                                     only when it is named
#   benches/report.sh --write-only    nothing is run again
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath "${CARGO_TARGET_DIR:-target}")
kept=$target/benchmarks
mkdir -p "$kept"

peer() { # a program of a crate of its own, since our peers bring other versions of rand
    CARGO_TARGET_DIR=$target/peers cargo run --release --quiet \
        --manifest-path benches/peers/Cargo.toml --bin "$1"
}

stamp() { # which state a benchmark measured, and when; under a load from elsewhere it says less
    local names=$1
    [ "$1" != peers ] || names="peers exploration-peers"
    for of in $names; do
        if [ "$of" != patterns ] && [ "$of" != simulation ] && [ ! -s "$kept/$of.txt" ]; then
            rm -f "$kept/$of.stamp"
            continue
        fi
        echo "$(date +%F) with staleproof $(git rev-parse --short HEAD)," \
            "load of the machine before: $2" > "$kept/$of.stamp"
    done
}

one() {
    case $1 in
        patterns | simulation) cargo bench --bench "$1" ;;
        exploration | exploration_bounds | checking | shrinking | load)
            if [ -f "benches/$1.rs" ]; then
                cargo bench --quiet --bench "$1" 2> /dev/null | tee "$kept/$1.txt"
            fi ;;
        peers)
            peer peers | tee "$kept/peers.txt"
            peer exploration | tee "$kept/exploration-peers.txt" ;;
        serving)
            if command -v memcached > /dev/null && command -v memcaslap > /dev/null; then
                cargo build --release --quiet
                # It fails when a ratio is low; the page shows it.
                benches/serving.sh 1 3 2> /dev/null | tee "$kept/serving.txt" || true
            else
                rm -f "$kept/serving.txt"
                echo "SKIPPED serving: needs memcached and libmemcached-tools"
            fi ;;
        *) echo "$1: no such benchmark" >&2; exit 2 ;;
    esac
}

if [ "${1:-}" != --write-only ]; then
    [ $# -gt 0 ] || set -- patterns simulation exploration shrinking checking peers serving load
    for name in "$@"; do
        load=$(cut -d' ' -f1 /proc/loadavg)
        one "$name"
        stamp "$name" "$load"
    done
fi
python3 benches/report.py > reports/benchmarks.md.partial
mv reports/benchmarks.md.partial reports/benchmarks.md
echo "wrote reports/benchmarks.md"
