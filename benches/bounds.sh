#!/usr/bin/env bash
# Searches every built-in pattern within the bounds that are promised, and writes reports/bounds.md:
# half an hour.
#
#   benches/bounds.sh --write-only    nothing is searched again
set -euo pipefail
cd "$(dirname "$0")/.."
kept=${CARGO_TARGET_DIR:-target}/bounds.txt
if [ "${1:-}" != --write-only ]; then
    cargo bench --quiet --bench exploration_bounds 2> /dev/null | tee "$kept"
fi
{
    cat << 'HEAD'
# Every built-in pattern within the promised bounds

Written by `benches/bounds.sh`. A bound is readers x writers x keys; the property is the final
state: when all is quiet, no entry of the cache differs from its row. *holds* and *violated* come
from a search of every schedule and every placement of the faults; a search that takes more than
300 s is given up, and said to be. *schedules* counts those that were pruned as well.

```text
HEAD
    cat "$kept"
    echo '```'
} > reports/bounds.md
echo "wrote reports/bounds.md"
