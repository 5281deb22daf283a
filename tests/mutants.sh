#!/bin/bash
# Mutants of the checkers: each small change of `src/check` must fail a test of theirs.
#
#   cargo install cargo-mutants
#   tests/mutants.sh                  all checkers: hours
#   tests/mutants.sh linear/nulls     one file
#   SHARD=0/4 tests/mutants.sh        a quarter of the mutants of each file
#   TIMEOUT=40 tests/mutants.sh       more seconds for each, beside other work
#
# What survives and why it may is in tests/mutants.md. The checkers depend on little, so they
# and their tests are built as a package of their own, where a mutant takes seconds instead of
# the minutes that the whole crate would. Words are tested through the command line, and what
# needs a recorded run through scenarios: none of these is in here.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
small=$root/target/mutants
rm -rf "$small/src" "$small/tests" "$small/vocabulary"
mkdir -p "$small/vocabulary/src" "$small/src/check" "$small/tests"

version() { grep -m1 "^$1 = " "$root/Cargo.toml"; }
manifest() { printf '[package]\nname = "%s"\nversion = "0.0.0"\nedition = "2024"\n' "$1"; }

cp -r src/{operation.rs,time.rs,parallel.rs,step,history} "$small/vocabulary/src/"
printf 'pub mod %s;\n' history operation parallel step time > "$small/vocabulary/src/lib.rs"
# What the checkers may use within one crate.
sed -i 's/pub(crate) fn value_bytes/pub fn value_bytes/' "$small/vocabulary/src/history/log.rs"
{
    manifest vocabulary
    echo '[dependencies]'
    for crate in bytes libm rand rand_chacha rustc-hash ruzstd schemars serde serde_json thiserror; do
        version "$crate"
    done
} > "$small/vocabulary/Cargo.toml"

checkers=(linear sessions durability found online phantoms staleness torn updates values versions)
tests=(differential tables findings online oracles metamorphic verifier effort)
for name in "${checkers[@]}"; do
    cp -r "src/check/$name" "$small/src/check/" 2> /dev/null \
        || cp "src/check/$name.rs" "$small/src/check/"
done
printf 'pub mod %s;\n' "${checkers[@]}" > "$small/src/check/mod.rs"
printf 'pub mod check;\npub use vocabulary::{history, operation, parallel, step, time};\n' \
    > "$small/src/lib.rs"
cp -r tests/fast/notation "$small/tests/"
echo "mod notation;" > "$small/tests/all.rs"
for name in "${tests[@]}"; do
    cp "tests/fast/check_$name.rs" "$small/tests/"
    echo "mod check_$name;" >> "$small/tests/all.rs"
done
{
    manifest staleproof
    printf 'autotests = false\n[dependencies]\nvocabulary = { path = "vocabulary" }\n'
    version libm
    version rustc-hash
    echo '[dev-dependencies]'
    version rand
    version rand_chacha
    printf '[[test]]\nname = "all"\npath = "tests/all.rs"\n'
    printf '[workspace]\nmembers = ["vocabulary"]\n'
    printf '[profile.dev]\ndebug = false\n[profile.test]\nopt-level = 1\ndebug = false\n'
} > "$small/Cargo.toml"
cp Cargo.lock "$small/"

cd "$small"
files=()
for name in "${@:-**/*}"; do
    files+=(--file "src/check/$name.rs")
done
exec cargo mutants --in-place --timeout "${TIMEOUT:-12}" ${SHARD:+--shard "$SHARD"} \
    --exclude '**/words.rs' "${files[@]}"
