#!/usr/bin/env python3
"""tests/bench/compare_images.py: a table with a row an attention, runs that are done or go on, and
what it refuses.

compare_images_test.py BIN_DIR
"""
import json
import pathlib
import subprocess
import sys
import tempfile

CLASSIFY = pathlib.Path(sys.argv[1]).resolve() / "classify"
SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "bench/compare_images.py"
SMALL = ["--count", "40", "--size", "16", "--batch", "16", "--steps", "2", "--threads", "1"]
TINY = [*SMALL, "--width", "4"]
failures = []


def expect(fact, what):
    if not fact:
        failures.append(what)


def compare(directory, *words):
    return subprocess.run([sys.executable, SCRIPT, directory, "--classify", CLASSIFY, *words],
                          capture_output=True, text=True, timeout=300)


def refused(says, *words):
    result = compare(*words)
    expect(result.returncode == 1 and not result.stdout and says in result.stderr,
           f"{words}: '{says}' expected: {result.returncode}, {result.stderr[-600:]}")


def table(*words):
    """The cells of the table's rows, below its two lines of heading."""
    result = compare(*words)
    expect(result.returncode == 0, f"{words}: {result.stderr[-600:]}")
    lines = result.stdout.splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def main(work):
    out, specs = work / "runs", ["--", "none", "dense --slots 1"]
    refused("'--' and the attentions are missing", out, *TINY)
    refused("'--' and the attentions are missing", out, *TINY, "--")
    refused("--seed: this script sets it", out, *TINY, "--seed", "3", *specs)
    refused("--seed=3: this script sets it", out, *TINY, "--", "dense --seed=3")
    refused("--seeds and --jobs: at least 1", out, "--seeds", "0", *TINY, *specs)
    refused("an attention is empty", out, *TINY, "--", " ")
    expect(not out.exists(), "what is refused left a directory")

    rows = table(out, "--seeds", "2", "--jobs", "2", *TINY, *specs)
    expect([row[0] for row in rows] == specs[1:], f"rows {rows}")
    for row in rows:
        expect(row[2] == "2" and " % (" in row[3] and int(row[5]) > 0, f"row {row}")
    none, dense = (int(row[1].replace(",", "")) for row in rows)
    expect(dense > none > 0, f"parameters {none}, {dense}")
    results = out / "results.jsonl"
    lines = results.read_text().splitlines()
    expect(sorted((r["attention"], r["seed"]) for r in map(json.loads, lines)) ==
           [(spec, seed) for spec in sorted(specs[1:]) for seed in (1, 2)], f"results {lines}")

    # What is done is not done again; a run that is gone from the results goes on from its last
    # checkpoint, to the same figures.
    expect(table(out, "--seeds", "2", *TINY, *specs) == rows, "another table of the same runs")
    expect(results.read_text().splitlines() == lines, "finished runs were run again")
    results.write_text("\n".join(lines[:-1]) + "\n")
    gone = json.loads(lines[-1])
    again = table(out, "--seeds", "2", *TINY, *specs)
    expect([row[:4] for row in again] == [row[:4] for row in rows], f"{again} after {rows}")
    last = json.loads(results.read_text().splitlines()[-1])
    expect((last["attention"], last["seed"]) == (gone["attention"], gone["seed"]), f"again {last}")
    refused("is of other arguments", out, *TINY, "--lr", "0.1", *specs)

    # Too little memory is a row without figures (this network needs ten times what is allowed); any
    # other error names itself, and what was done before it stands in the table.
    rows = table(work / "small", *SMALL, "--width", "32", "--memory-limit", "1", "--", "none")
    expect(rows == [["none", "-", "1", "-", "-", "-"]], f"too little memory: {rows}")
    result = compare(work / "wrong", *TINY, "--", "none", "nonesuch")
    expect(result.returncode == 1 and "unknown variant 'nonesuch'" in result.stderr and
           "| none | " in result.stdout, f"nonesuch: {result.stdout} {result.stderr[-600:]}")


with tempfile.TemporaryDirectory() as folder:
    main(pathlib.Path(folder))
for failure in failures:
    print("FAILED: " + failure)
sys.exit(1 if failures else 0)
