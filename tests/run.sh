#!/usr/bin/env bash
# All tests, on a bare machine: installs the servers and the tools of their tests when missing.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=""
command -v memcached > /dev/null || missing="$missing memcached"
command -v memccapable > /dev/null || missing="$missing libmemcached-tools"
command -v faketime > /dev/null || missing="$missing faketime"
command -v mariadbd > /dev/null || [ -x /usr/sbin/mariadbd ] || missing="$missing mariadb-server"
command -v initdb > /dev/null || ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 \
    || missing="$missing postgresql"
if [ -n "$missing" ]; then
    echo "installing$missing"
    sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing > /dev/null
fi
export STALEPROOF_REQUIRE_SERVERS=1
# Seconds of random faults; 600 is the long mode.
export STALEPROOF_SOAK="${STALEPROOF_SOAK:-60}"
# Benchmarks are compiled by the lints, and measured by benches/report.sh.
#
# A busy machine can upset a test of real servers in real time: what fails of those is tried once
# more, by itself. Whatever else fails, and whatever fails twice, has failed.
#
# What hangs is ended, so that the log shows which test it was.
mkdir -p target
if ! timeout 50m cargo test --lib --bins --tests --features proptest --no-fail-fast 2>&1 \
    | tee target/tests.log; then
    failed=$(sed -n 's/^    `\(--.*\)`$/\1/p' target/tests.log)
    [ -n "$failed" ] || exit 1
    ! grep -qvE '^--test (servers|real_[a-z_]+|serve_faults)$' <<< "$failed" || exit 1
    echo "AGAIN, after a failure:" $failed
    # shellcheck disable=SC2086
    cargo test --features proptest $failed
fi
cargo test --doc --features proptest
(cd tests/downstream && CARGO_TARGET_DIR=../../target cargo test \
    && CARGO_TARGET_DIR=../../target cargo run --quiet -- run scenarios)
(cd tests/clients && CARGO_TARGET_DIR=../../target cargo test)
# Clients in other languages; the rest of their test has run above.
if command -v npm > /dev/null && python3 -c "import ensurepip, venv" 2> /dev/null; then
    ./tests/interop.sh
else
    echo "SKIPPED: clients of Python and Node against serve (needs python3-venv and npm)"
fi
./tests/report_browser/run.sh
# An alarm that cannot ring proves nothing: this scenario is wrong, and has to fail.
for command in run explore hunt; do
    status=0
    cargo run --release --quiet -- "$command" tests/canary.toml > /dev/null || status=$?
    if [ "$status" != 1 ]; then
        echo "the canary lives: \`staleproof $command tests/canary.toml\` ended with $status, not 1"
        exit 1
    fi
done
