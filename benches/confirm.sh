#!/usr/bin/env bash
# Replays counterexamples step by step on real servers, and writes what was confirmed where to
# reports/confirmed.json. Usage: benches/confirm.sh [COUNTEREXAMPLES.json]
# The file is that of `staleproof matrix`; the bytes written do not depend on ports or times.
set -euo pipefail
cd "$(dirname "$0")/.."
from=${1:-reports/counterexamples.json}
if [ ! -e "$from" ]; then
    echo "$from is not there: write it with \`staleproof matrix\`" >&2
    exit 2
fi
cargo build --release --quiet
staleproof=${CARGO_TARGET_DIR:-target}/release/staleproof
kept=$(mktemp)
trap 'rm -f "$kept"' EXIT
rm -f "$kept"
for pair in "sqlite SQLite" "postgres PostgreSQL" "mariadb MariaDB"; do
    read -r database name <<< "$pair"
    "$staleproof" replay "$from" --cache memcached --database "$database" \
        --label "memcached and $name" --confirm "$kept" | grep -v '^confirmed  ' || true
    status=${PIPESTATUS[0]}
    [ "$status" -le 1 ] || exit "$status"
done
mv "$kept" reports/confirmed.json
chmod 644 reports/confirmed.json
