"""Shared by the peer benchmarks: settings, one way to time, one way to print."""
import json
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


def emit(name, value, unit):
    value = value if isinstance(value, int) else float(f"{value:.5g}")
    print(json.dumps({"name": name, "value": value, "unit": unit}), flush=True)
