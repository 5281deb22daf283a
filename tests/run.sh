#!/usr/bin/env bash
# All tests, on a bare machine: installs the servers and the tools of their tests when missing.
set -euo pipefail
cd "$(dirname "$0")/.."
source .ci/steps.sh
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
export STALEPROOF_SOAK="${STALEPROOF_SOAK:-30}"
# Benchmarks are compiled by the lints, and measured by benches/report.sh.
fast() { timeout 50m cargo test --lib --bins --test fast --features proptest --no-fail-fast; }

# Every binary of tests but `fast`: the group `servers`, and each that has a process to itself.
#
# A busy machine can upset a test of real servers in real time: what fails of those is tried once
# more, by itself. What fails twice has failed, and so has a difference between a model and its
# server, and a binary that does not say which of its tests failed.
#
# What hangs is ended, so that the log shows which test it was.
servers() {
    local names=() log=target/servers.log again
    for file in tests/*/main.rs; do
        name=$(basename "$(dirname "$file")")
        [ "$name" = fast ] || names+=(--test "$name")
    done
    timeout 50m cargo test "${names[@]}" --features proptest --no-fail-fast 2>&1 | tee "$log" \
        && return
    again=$(failed_tests "$log")
    [ -n "$again" ] || exit 1
    ! grep differential <<< "$again" || exit 1
    [ "$(cut -d' ' -f1 <<< "$again" | sort -u)" = "$(failed_binaries "$log")" ] || exit 1
    while read -r binary test; do
        echo "retried: $binary $test"
        cargo test --features proptest --test "$binary" -- --exact "$test" < /dev/null
    done <<< "$again"
}

# What cargo says at its end, `--test NAME` in a line each.
failed_binaries() { sed -n 's/^    `--test \(.*\)`$/\1/p' "$1" | sort -u; }

# A binary and a test in each line, from the list that ends a binary's output.
failed_tests() {
    awk '/Running tests\// { split($0, path, "/"); binary = path[2]; count = 0 }
        /^failures:$/ { count = 0 }
        /^    [a-z0-9_:]+$/ { tests[++count] = $1 }
        /^test result: FAILED/ { for (i = 1; i <= count; i++) print binary, tests[i] }' "$1"
}

downstream() {
    cd tests/downstream
    export CARGO_TARGET_DIR=../../target
    cargo test
    cargo run --quiet -- run scenarios
}

clients() { (cd tests/clients && CARGO_TARGET_DIR=../../target cargo test); }

# An alarm that cannot ring proves nothing: this scenario is wrong, and has to fail.
canary() {
    for command in run explore hunt; do
        status=0
        cargo run --release --quiet -- "$command" tests/canary.toml > /dev/null || status=$?
        if [ "$status" != 1 ]; then
            echo "the canary lives: \`staleproof $command\` ended with $status, not 1"
            exit 1
        fi
    done
}

step "fast" fast
step "servers" servers
step "documentation examples" cargo test --doc --features proptest
step "a crate downstream" downstream
step "clients in Rust" clients
# The rest of their test has run above.
if command -v npm > /dev/null && python3 -c "import ensurepip, venv" 2> /dev/null; then
    step "clients in other languages" ./tests/interop.sh
else
    echo "SKIPPED: clients of Python and Node against serve (needs python3-venv and npm)"
fi
step "reports in a browser" ./tests/report_browser/run.sh
step "the canary" canary
