#!/usr/bin/env python3
"""Prints benchmarks as Markdown, from what criterion left in target/criterion.

What our peers' programs and the scripts printed stands in target/benchmarks, and when each was
measured (see report.sh). Of what was not measured here the section of the last report stays.
"""

import glob
import json
import os
import pathlib
import platform
import re
import subprocess

OPERATIONS = 2_000
CASES = ["hit", "miss", "direct select", "plain update", "write-through update"]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", "target"))
PRINTED = [
    ("Simulation beside tokio and shuttle", "peers", "benches/peers"),
    ("Exploration", "exploration", "cargo bench --bench exploration"),
    ("Every pattern within the promised bounds, by the final state", "exploration_bounds", "cargo bench --bench exploration_bounds"),
    ("Shrinking", "shrinking", "cargo bench --bench shrinking"),
    ("Exploration beside shuttle", "exploration-peers", "benches/peers"),
    ("Checking beside a Wing-Gong-Lowe search and stateright", "checking", "cargo bench --bench checking"),
    ("Serving beside memcached", "serving", "benches/serving.sh"),
    ("Load beside a bare socket loop", "load", "cargo bench --bench load"),
]


def said(*command):
    """The first line that a command says, or why there is none."""
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return (out.stdout or out.stderr).strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return "not installed"


def postgres():
    """PostgreSQL's version; Debian keeps the server out of PATH."""
    places = ["postgres", *sorted(glob.glob("/usr/lib/postgresql/*/bin/postgres"))]
    return next((v for v in (said(p, "--version") for p in places) if v != "not installed"),
                "PostgreSQL not installed")


def results():
    """Median nanoseconds per iteration and the elements of one, by group and case."""
    found = {}
    for path in sorted((TARGET / "criterion").glob("**/new/benchmark.json")):
        about = json.loads(path.read_text())
        estimates = json.loads((path.parent / "estimates.json").read_text())
        elements = (about.get("throughput") or {}).get("Elements")
        found.setdefault(about["group_id"], {})[about["function_id"]] = (
            estimates["median"]["point_estimate"],
            elements,
        )
    return found


def cpu():
    """The processor's name."""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


def head():
    """Machine and versions."""
    cores = len(os.sched_getaffinity(0))
    print("# Benchmarks\n")
    print("Written by `benches/report.sh`: criterion's results (medians), and what the programs")
    print("beside our peers print. Ratios are within one run; absolute times are this machine's.\n")
    print(f"- machine: {cpu()}, {cores} cores, {platform.system()} {platform.release()}")
    print(f"- {said('rustc', '--version')}")
    print(f"- {said('memcached', '--version')}; {postgres()}\n")


def last():
    """The sections of the last report, by title."""
    path = pathlib.Path("reports/benchmarks.md")
    parts = re.split(r"^## (.*)\n\n", path.read_text() if path.exists() else "", flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def section(title, name, before, write):
    """A section: what was measured here and by which state, or what the last report says."""
    stamp = TARGET / "benchmarks" / f"{name}.stamp"
    print(f"## {title}\n")
    if stamp.exists():
        print(f"Measured {stamp.read_text().strip()}.\n")
        write()
    else:
        print(before.get(title, "Skipped, it was not run here.\n").rstrip() + "\n")


def patterns(found):
    """Hit against miss, write-through against a plain update."""
    print("Nanoseconds per operation: the pattern's own code, the seeded scheduler and the servers,")
    print("one operation at a time (`cargo bench --bench patterns`). A miss asks the cache, selects and sets.\n")
    print("| servers | " + " | ".join(CASES) + " | hit ÷ select | miss ÷ hit | write-through ÷ update |")
    print("|---|" + "--:|" * (len(CASES) + 3))
    for group, cases in sorted(found.items()):
        values = [cases[name][0] / OPERATIONS if name in cases else None for name in CASES]
        cells = ["–" if value is None else f"{value:,.0f}" for value in values]
        hit, miss, direct, update, through = values
        ratios = [
            "–" if not (a and b) else f"{a / b:.2f}" for a, b in ((hit, direct), (miss, hit), (through, update))
        ]
        print(f"| {group.removeprefix('patterns/')} | " + " | ".join(cells + ratios) + " |")
    for server in ("memcached", "PostgreSQL"):
        if not any(server in group for group in found):
            print(f"\n{server}: skipped, it was not there.")
    print()


def rates(cases):
    """A group of criterion's, with a rate where it has elements."""
    print("| case | time | operations/s |\n|---|--:|--:|")
    for case, (nanos, elements) in sorted(cases.items()):
        rate = f"{elements / nanos * 1e9:,.0f}" if elements else "–"
        print(f"| {case} | {nanos / 1e6:,.3f} ms | {rate} |")
    print()


def printed(name, command):
    """What another program printed, as it printed it."""
    path = TARGET / "benchmarks" / f"{name}.txt"
    print(f"`{command}`\n\n```text\n{path.read_text().rstrip()}\n```\n")


def main():
    found, before = results(), last()
    of_patterns = {k: v for k, v in found.items() if k.startswith("patterns/")}
    head()
    section("Hit against miss, write-through against a plain update", "patterns", before,
            lambda: patterns(of_patterns))
    section("Simulation", "simulation", before, lambda: rates(found["simulation"]))
    for title, name, command in PRINTED:
        section(title, name, before, lambda: printed(name, command))


main()
