#!/bin/sh
# Installs two clients each of Python and Node in a temporary directory and runs the
# interoperability tests with them. Needs python3 with venv, node, npm and memccapable
# (Debian: libmemcached-tools).
set -eu
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
python3 -m venv "$directory/python"
"$directory/python/bin/pip" install --quiet pymemcache python-memcached
npm install --silent --no-audit --no-fund --prefix "$directory/node" memjs memcached
PATH="$directory/python/bin:$PATH" NODE_PATH="$directory/node/node_modules" \
    STALEPROOF_REQUIRE_CLIENTS=1 cargo test --features proptest --test servers serve_interop:: -- --nocapture
