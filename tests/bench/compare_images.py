#!/usr/bin/env python3
"""Trains `classify` once for each attention and seed, all else equal, and prints a table.

compare_images.py DIR [--seeds N] [--jobs N] [--classify PROGRAM] CLASSIFY-ARGS... -- SPEC...

    compare_images.py runs --seeds 3 --jobs 2 --data fashion --threads 1 -- efficient none

CLASSIFY-ARGS go to `classify train`, the same for all. A SPEC may carry flags of its own behind
spaces ('dense --slots 3'); `none` means --slots 0. Runs and results.jsonl, one line a finished
run, land in DIR. Finished runs are skipped, one that was cut off goes on. The accuracy is that of
`classify eval` on the test pictures, by the best checkpoint; seconds are those of the run up to its
last evaluation, memory is the most that tensors held. A dash: more memory was needed than
--memory-limit allows.
compare_attention beside this does the same for `translate`.
"""
import argparse
import concurrent.futures
import json
import pathlib
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
OWN = ("--seed", "--out", "--attention", "--resume", "--quiet")  # flags that this script sets


def arguments(argv):
    if "--" not in argv or not argv[argv.index("--") + 1:]:
        sys.exit("compare_images: '--' and the attentions are missing")
    at = argv.index("--")
    parser = argparse.ArgumentParser(usage=__doc__, allow_abbrev=False)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--classify", default=HERE.parents[1] / "build/release/bin/classify")
    options, common = parser.parse_known_args(argv[:at])
    specs = list(dict.fromkeys(argv[at + 1:]))
    for word in [*common, *(word for spec in specs for word in spec.split()[1:])]:
        if word.split("=")[0] in OWN:
            sys.exit(f"compare_images: {word}: this script sets it")
    if options.seeds < 1 or options.jobs < 1:
        sys.exit("compare_images: --seeds and --jobs: at least 1 expected")
    if not all(spec.strip() for spec in specs):
        sys.exit("compare_images: an attention is empty")
    return options, common, specs


def records(out, kind):
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return [r for r in map(json.loads, lines) if r["kind"] == kind]


def run(options, common, spec, seed):
    name, *own = spec.split()
    attention = ["--slots", "0"] if name == "none" else ["--attention", name]
    out = options.dir / (re.sub(r"[^A-Za-z0-9:=,-]", "_", spec) + f"_seed{seed}")
    out.mkdir(parents=True, exist_ok=True)
    command = [str(word) for word in (
        options.classify, "train", *common, *attention, *own, "--seed", seed, "--out", out,
        "--quiet", *(["--resume"] if (out / "last").exists() else []))]
    train = subprocess.run(command, capture_output=True, text=True)
    (out / "train.txt").write_text(train.stdout + train.stderr)
    row = {"attention": spec, "seed": seed, "arguments": common, "accuracy": None}
    if train.returncode != 0:
        if "out of memory" in train.stderr:
            return row
        raise RuntimeError(f"{' '.join(command)}\n{train.stderr}")
    threads = re.findall(r"--threads[= ]\d+", " ".join([*common, *own]))
    test = subprocess.run([options.classify, "eval", "--model", out, *" ".join(threads).split()],
                          capture_output=True, text=True, check=True).stdout
    last = records(out, "eval")[-1]
    return row | {
        "accuracy": float(re.search(r"accuracy = ([0-9.]+) %", test)[1]),
        "valid": 100 * last["best"],
        "seconds": last["seconds"],
        "mib": max(r["peak_bytes"] for r in records(out, "eval")) / 2**20,
        "parameters": int(re.search(r"(\d+) parameters", train.stdout)[1]),
    }


def print_table(rows, specs):
    print("| attention | parameters | seeds | accuracy | seconds | MiB |")
    print("|---|---|---|---|---|---|")
    for spec in specs:
        own = [r for r in rows if r["attention"] == spec]
        fit = [r for r in own if r["accuracy"] is not None]
        if not fit:
            print(f"| {spec} | - | {len(own)} | - | - | - |")
            continue
        accuracy = [r["accuracy"] for r in fit]
        spread = f" ({min(accuracy):.2f} to {max(accuracy):.2f})" if len(fit) > 1 else ""
        seconds = statistics.median(r["seconds"] for r in fit)
        mib = max(r["mib"] for r in fit)
        print(f"| {spec} | {fit[0]['parameters']:,} | {len(fit)} | "
              f"{statistics.mean(accuracy):.2f} %{spread} | {seconds:,.0f} | {mib:,.0f} |")


def main():
    options, common, specs = arguments(sys.argv[1:])
    options.dir.mkdir(parents=True, exist_ok=True)
    results = options.dir / "results.jsonl"
    lines = results.read_text().splitlines() if results.exists() else []
    rows = [row for row in map(json.loads, lines) if row["arguments"] == common]
    if len(rows) < len(lines):
        sys.exit(f"compare_images: {results} is of other arguments: {lines[0]}")
    finished = {(r["attention"], r["seed"]) for r in rows}
    wanted = [(spec, seed) for seed in range(1, options.seeds + 1) for spec in specs]
    failure = None
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        runs = [pool.submit(run, options, common, *w) for w in wanted if w not in finished]
        for done in concurrent.futures.as_completed(runs):
            if done.cancelled():
                continue
            if done.exception():  # what is running may finish, nothing else begins
                failure = failure or done.exception()
                for each in runs:
                    each.cancel()
                continue
            rows.append(done.result())
            with results.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
            print(json.dumps(rows[-1]), file=sys.stderr)
    print_table(rows, specs)
    if failure:
        sys.exit(f"compare_images: {failure}")


main()
