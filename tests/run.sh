#!/usr/bin/env bash
# All tests, on a bare machine: installs memcached and the tools of its tests when missing.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=""
command -v memcached > /dev/null || missing="$missing memcached"
command -v memccapable > /dev/null || missing="$missing libmemcached-tools"
command -v faketime > /dev/null || missing="$missing faketime"
if [ -n "$missing" ]; then
    echo "installing$missing"
    sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing > /dev/null
fi
export STALEPROOF_REQUIRE_SERVERS=1
cargo test --all-targets
cargo test --doc
(cd tests/downstream && CARGO_TARGET_DIR=../../target cargo test \
    && CARGO_TARGET_DIR=../../target cargo run --quiet -- run scenarios)
