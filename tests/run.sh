#!/usr/bin/env bash
# All tests, on a bare machine: installs memcached when it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v memcached > /dev/null; then
    echo "installing memcached"
    sudo=""; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq memcached > /dev/null
fi
export STALEPROOF_REQUIRE_SERVERS=1
cargo test --all-targets
cargo test --doc
(cd tests/downstream && CARGO_TARGET_DIR=../../target cargo test \
    && CARGO_TARGET_DIR=../../target cargo run --quiet -- run scenarios)
