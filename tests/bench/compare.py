#!/usr/bin/env python3
"""Joins heed's figures with the peers' by name: compare.py HEED_LINES PEERS_PYTHON THREADS [FILTER]

ratio > 1: heed is faster. Times are better when lower, figures per second when higher.
"""
import json
import pathlib
import subprocess
import sys

SECONDS = {"s": 1, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def ratio(value, unit, peer, peer_unit):
    """How many times faster heed is, or None where the two figures are not speeds of one kind."""
    if unit in SECONDS and peer_unit in SECONDS:
        return peer * SECONDS[peer_unit] / (value * SECONDS[unit])
    return value / peer if unit == peer_unit and unit.endswith("/s") else None


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


def main():
    path, python, threads, *rest = sys.argv[1:]
    others = peers(python, threads, rest[0] if rest else "")
    for line in open(path):
        name, value, unit = line.split(maxsplit=2)
        value, unit = float(value), unit.strip()
        text = f"{name:<48} {value:>12.5g} {unit:<9}"
        if name in others:
            peer, peer_unit = others[name]
            text += f" {peer:>12.5g} {peer_unit:<9}"
            times = ratio(value, unit, peer, peer_unit)
            if times is not None:
                text += f" ratio = {times:.2f}"
        print(text.rstrip())


if __name__ == "__main__":
    main()
