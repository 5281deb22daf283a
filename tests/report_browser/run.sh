#!/usr/bin/env bash
# Reports in a real browser. Installs Chromium, node and npm with apt when they are missing.
# Screenshots are left in target/report_browser.
set -euo pipefail
cd "$(dirname "$0")/../.."
missing=""
command -v node > /dev/null || missing="$missing nodejs"
command -v npm > /dev/null || missing="$missing npm"
command -v chromium > /dev/null || missing="$missing chromium"
if [ -n "$missing" ]; then
    echo "installing$missing"
    sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing > /dev/null
fi
work=target/report_browser
mkdir -p "$work"
cp tests/report_browser/{package.json,check.mjs} "$work"
(cd "$work" && npm install --no-audit --no-fund --silent)

# A million operations would take minutes without optimisation.
cargo build --release --quiet
staleproof=target/release/staleproof
"$staleproof" run scenarios/article --out "$work/article" > /dev/null
mv "$work/article/report.html" "$work/article.html"
"$staleproof" report "$work"/article/*07*.json --report "$work/race.html"
"$staleproof" report "$work"/article/*12*.json --report "$work/bypass.html"
"$staleproof" run tests/report_browser/million.toml --report "$work/million.html" > /dev/null
size=$(stat -c %s "$work/million.html")
echo "a report of 1,000,000 operations: $size bytes"
[ "$size" -lt 2000000 ] || { echo "larger than 2 MB"; exit 1; }
cd "$work"
node check.mjs . race.html bypass.html article.html slow:million.html
