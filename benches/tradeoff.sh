#!/usr/bin/env bash
# Measures the article's trade-off on this machine and writes reports/tradeoff.md: latencies of
# hit, miss, direct select and write for each pattern, under `staleproof load`.
#
#   benches/tradeoff.sh [SECONDS] [DATABASE...]     (default: 5 sqlite postgres mariadb)
set -euo pipefail
cd "$(dirname "$0")/.."
seconds="${1:-5}"
shift || true
databases=("$@")
[ ${#databases[@]} -gt 0 ] || databases=(sqlite postgres mariadb)
tool="${STALEPROOF:-target/release/staleproof}"
[ -x "$tool" ] || cargo build --release --quiet
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
out="$folder/tradeoff.md"
{
    echo "# What a cache costs and saves"
    echo
    echo "Written by \`benches/tradeoff.sh $seconds ${databases[*]}\` on $(nproc) cores, $(memcached -V)."
    echo "2 clients, 1000 rows (zipf 0.99), 90 % reads and 10 % updates, as fast as they go, for"
    echo "$seconds s each; client, cache and database share the machine, whose load"
    echo "average was $(cut -d' ' -f1 /proc/loadavg) before. p50 / p99 of whole operations;"
    echo "\`cache step\` and \`select\` are single round trips within them."
    echo
    echo "| database | pattern | operations/s | hit ratio | p_stale | hit | miss | direct read | write | cache step | select |"
    echo "|---|---|---|---|---|---|---|---|---|---|---|"
} > "$out"
for database in "${databases[@]}"; do
    for pattern in no-cache read-through write-through cache-aside write-behind; do
        cat > "$folder/scenario.toml" <<TOML
claim = "the cost of $pattern"
pattern = "$pattern"
[workload]
rows = 1000
mix = { read = 90, update = 10 }
TOML
        "$tool" load "$folder/scenario.toml" --database "$database" --clients 2 \
            --duration "${seconds}s" > "$folder/result.txt"
        awk -v database="$database" -v pattern="$pattern" '
            function put(name) { return name in p50 ? p50[name] " / " p99[name] : "-" }
            /^  operations / { gsub(/[()\/s]/, "", $3); rate = $3 }
            /^  hit_ratio / {
                ratio = $2
                for (i = 1; i < NF; i++) if ($i == "p_stale") stale = $(i + 1)
            }
            /^  (hit|miss|write|select) / { p50[$1] = $3; p99[$1] = $4 }
            /^  (direct read|cache step) / { p50[$1 " " $2] = $4; p99[$1 " " $2] = $5 }
            END {
                print "| " database " | " pattern " | " rate " | " ratio " | " stale " | " \
                    put("hit") " | " put("miss") " | " put("direct read") " | " put("write") \
                    " | " put("cache step") " | " put("select") " |"
            }' "$folder/result.txt" >> "$out"
    done
done
{
    echo
    echo "## Where a cache starts to pay"
    echo
    echo "The middle one of 2,000 calls, one connection, one at a time, through the clients that"
    echo "applications use (\`cargo bench --bench tradeoff\`). The last column is the hit ratio from"
    echo "which reads through the cache are faster on average than reads without it. A network is"
    echo "simulated by keeping back each message, to the cache as to the database."
    echo
    cargo bench --quiet --bench tradeoff 2> /dev/null
    cat << 'TEXT'

How to read it. On one machine a hit is a round trip through two sockets and another process,
while a point select on SQLite is a call into a library: **the hit is the slower one**, and a cache
before such a database costs time and freshness and saves nothing. A cache starts to pay where a
read costs more than one round trip to it: compare the column `hit` with what the read behind it
costs. That is the case for queries that do more than find one row, for a database that is further
away than the cache (or busier), and where the database is the part that cannot be made faster by
adding machines. When both are equally far away, the network is most of either, and the cache saves
little. A miss pays for both, and for the set; so at hit ratio h the cache pays when
h × (direct - hit) > (1 - h) × (miss - direct).
TEXT
} >> "$out"
mkdir -p reports
mv "$out" reports/tradeoff.md
cat reports/tradeoff.md
