#!/usr/bin/env python3
"""heed's figures beside the peers' by name.

compare.py HEED_BENCH PEERS_PYTHON THREADS ROUNDS [FILTER]

A round runs heed's half and the peers' half, so that a slow minute of the machine affects both.
Values are medians of the rounds; so is the ratio, with the lowest and the highest behind it.
ratio > 1: heed is faster. Times are better when lower, figures per second when higher. Of memory
it is the share of what the peer takes: below 1, heed takes less.
"""
import json
import pathlib
import statistics
import subprocess
import sys

SECONDS = {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def ratio(value, unit, peer, peer_unit):
    """How many times faster heed is, or its share of the memory; None for figures of two kinds."""
    if unit in SECONDS and peer_unit in SECONDS:
        return peer * SECONDS[peer_unit] / (value * SECONDS[unit])
    comparable = unit == peer_unit and (unit.endswith("/s") or unit == "MiB")
    return value / peer if comparable else None


def median(figures):
    """Of [(value, unit)], in the first one's unit."""
    unit = figures[0][1]
    return statistics.median(v * SECONDS[u] / SECONDS[unit] if u in SECONDS else v
                             for v, u in figures), unit


def heed(program, filter):
    out = subprocess.run([program, filter], stdout=subprocess.PIPE, text=True)
    if out.returncode:
        sys.exit(out.returncode)  # it has said why
    figures = {}
    for line in out.stdout.splitlines():
        name, value, unit = line.split(maxsplit=2)
        figures[name] = (float(value), unit.strip())
    return figures


def peers(python, threads, filter):
    figures = {}
    for script in sorted(pathlib.Path(__file__).with_name("peers").glob("*.py")):
        if "__main__" not in script.read_text():
            continue
        out = subprocess.run([python, script, filter, "--threads", threads],
                             stdout=subprocess.PIPE, text=True)
        for line in out.stdout.splitlines():
            if line.startswith("{"):
                figure = json.loads(line)
                figures[figure["name"]] = (figure["value"], figure["unit"])
            else:
                print(f"{script.name}: {line}")
        if out.returncode:
            print(f"{script.name}: ended with code {out.returncode}")
    return figures


def text(name, ours, theirs):
    """One line; `theirs` has None for a round without the figure."""
    value, unit = median(ours)
    line = f"{name:<48} {value:>12.5g} {unit:<9}"
    both = [(o, t) for o, t in zip(ours, theirs) if t is not None]
    if not both:
        return line.rstrip()
    peer, peer_unit = median([t for _, t in both])
    line += f" {peer:>12.5g} {peer_unit:<9}"
    ratios = [ratio(*o, *t) for o, t in both]
    if None not in ratios:
        line += f" {'share' if unit == 'MiB' else 'ratio'} = {statistics.median(ratios):.2f}"
        if len(ratios) > 1:
            line += f" ({min(ratios):.2f} to {max(ratios):.2f})"
    return line.rstrip()


def main():
    program, python, threads, rounds, *rest = sys.argv[1:]
    if not rounds.isdigit() or int(rounds) < 1:
        sys.exit(f"compare.py: HEED_BENCH_ROUNDS={rounds}: a whole number from 1 expected")
    filter = rest[0] if rest else ""
    ours, theirs = [], []
    for _ in range(int(rounds)):
        ours.append(heed(program, filter))
        theirs.append(peers(python, threads, filter))
    for name in ours[0]:
        print(text(name, [o[name] for o in ours], [t.get(name) for t in theirs]))


if __name__ == "__main__":
    main()
