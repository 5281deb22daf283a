# shellcheck shell=bash
# Sourced by .ci/fast, .ci/run and tests/run.sh, in the folder of the repository.
#
#     step NAME COMMAND...
#
# runs the command, and holds the number of tests that passed in it to the floor of NAME in
# tests/floors.txt. However the outermost of these scripts ends, it ends with a table of all its
# steps and the line `N passed, N failed`.
counts=target/ci-counts

step() {
    local name=$1 began=$SECONDS status passed failed floor
    shift
    echo "== $name"
    set +e
    (set -e; "$@") 2>&1 < /dev/null | tee target/ci-step.log
    status=${PIPESTATUS[0]}
    set -e
    read -r passed failed < <(results target/ci-step.log)
    floor=$(floor_of "$name")
    printf '%s\t%s\t%s\t%s\t%s\n' $((SECONDS - began)) "$passed" "$failed" "$floor" "$name" \
        >> "$counts"
    [ "$status" = 0 ] || fail "$name ended with $status"
    [ "$failed" = 0 ] || fail "$name: $failed tests failed"
    [ "$passed" = 0 ] || [ -n "$floor" ] || fail "$name has no floor in tests/floors.txt"
    [ "$passed" -ge "${floor:-0}" ] \
        || fail "$name: $passed tests passed, and its floor in tests/floors.txt is $floor"
}

# Two numbers, how many tests passed and failed. Where a test that failed is tried again, which
# `retried: NAME` announces, what passes then has not failed.
results() {
    awk '/^retried: / { again = 1 }
        /^test result: / {
            match($0, /[0-9]+ passed/); now = substr($0, RSTART) + 0
            match($0, /[0-9]+ failed/); passed += now
            failed += again ? -now : substr($0, RSTART)
        }
        END { print passed + 0, failed + 0 }' "$1"
}

floor_of() {
    awk -v name="$1" '/^[0-9]/ { floor = $1; sub(/^[0-9]+ +/, ""); if ($0 == name) print floor }' \
        tests/floors.txt
}

fail() {
    echo "FAILED: $1"
    exit 1
}

table() {
    local files=target/tmp/tidy-files
    echo
    printf '%7s %6s %6s  %s\n' seconds tests floor step
    awk -F '\t' '{ printf "%7d %6s %6s  %s\n", $1, $2 ? $2 : "", $4, $5 }' "$counts"
    [ ! -e "$files" ] \
        || printf '%7s %6d %6d  %s\n' "" "$(< "$files")" "$(floor_of files)" "files that tidy read"
    awk -F '\t' '{ passed += $2; failed += $3 }
        END { printf "%d passed, %d failed\n", passed, failed }' "$counts"
}

# A script that another one calls adds its steps to the table of that one.
if [ -z "${CI_STEPS:-}" ]; then
    export CI_STEPS=1
    mkdir -p target
    rm -f target/tmp/tidy-files
    : > "$counts"
    trap table EXIT
fi
