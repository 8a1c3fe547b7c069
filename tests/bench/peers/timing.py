"""Shared by the peer benchmarks: settings, one way to time, one way to print."""
import argparse
import json
import os
import re
import statistics
import sys
import time


def need_torch(threads):
    """Imports torch with `threads` threads, or says that it is missing and ends well."""
    try:
        import torch
    except ImportError:
        print("peers: torch is not installed, so there is nothing to compare with")
        sys.exit(0)
    torch.set_num_threads(threads)
    return torch


def wanted(filter, name):
    """As Google Benchmark filters: an expression that is found somewhere in the name."""
    return re.search(filter, name) is not None


def median_seconds(run, seconds=1.0, least=5, most=200):
    """Median of as many runs as fit into `seconds`, after a warm-up."""
    run()
    start = time.perf_counter()
    run()
    once = time.perf_counter() - start
    taken = []
    for _ in range(min(most, max(least, int(seconds / max(once, 1e-7))))):
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def mebibytes_of(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(field)) / 1024


def peak_mebibytes(make):
    """The highest resident size while make() builds a training step and it runs three times, above
    the size before (torch is imported by then), of memory that belongs to no file: the same as
    tests/bench/peak_memory.h. In a process of its own, so that earlier figures leave nothing
    behind; torch must not have computed anything yet, since its threads do not survive the fork."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with open("/proc/self/clear_refs", "w") as file:
                file.write("5")  # forgets the highest size so far
            before = mebibytes_of("RssAnon")
            step = make()
            for _ in range(3):
                step()
            figure = mebibytes_of("VmHWM") - mebibytes_of("RssFile") - before
            os.write(write, json.dumps(figure).encode())
            os._exit(0)
        except BaseException as error:
            print(f"peak_mebibytes: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("peak_mebibytes: the process that measures failed")
    return json.loads(text)


def emit(name, value, unit):
    value = value if isinstance(value, int) else float(f"{value:.5g}")
    print(json.dumps({"name": name, "value": value, "unit": unit}), flush=True)


def time_families(description, families):
    """The main of a script of figures in microseconds. A family is a function of torch that yields
    (name, make), where make() gives the step to time: only what the filter wants is made.
    A family whose package is missing is left out, with a line that says so."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("filter", nargs="?", default="")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on each figure")
    args = parser.parse_args()

    torch = need_torch(args.threads)
    torch.manual_seed(1)
    for family in families:
        try:
            for name, make in family(torch):
                if wanted(args.filter, name):
                    emit(name, median_seconds(make(), args.seconds) * 1e6, "us")
        except ImportError as e:
            print(f"{family.__name__} is left out: {e}", flush=True)
