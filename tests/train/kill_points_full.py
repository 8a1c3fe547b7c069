#!/usr/bin/env python3
"""A checkpoint is old or new, never half: shown by making every system call of a save fail.

    kill_points_full.py FOLDER_OF_PROGRAMS

strace kills the program (SIGKILL) at each call in turn, and lets each call fail with ENOSPC, EIO,
EDQUOT or EINTR. After each of these, every checkpoint must load, be of one piece and be the old or
a new one; a program that was not killed must have ended with 0 or with an error of one line.
Also asserted, in place of a loss of power: files are synced before the rename that shows them, and
the directory is synced after it. Exit code 77: strace cannot be used here.
"""
import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

CALLS = ["openat", "open", "write", "writev", "pwrite64", "fsync", "fdatasync", "close", "rename",
         "renameat", "renameat2", "mkdir", "mkdirat", "unlink", "unlinkat", "rmdir", "chmod",
         "fchmodat", "ftruncate"]
# Which errors a call can really report; EINTR must be retried, all others end in an error message.
ALL = ["ENOSPC", "EIO", "EDQUOT", "EINTR"]
ERRORS = {"write": ALL, "writev": ALL, "pwrite64": ALL, "fsync": ALL, "fdatasync": ALL,
          "close": ["EIO", "ENOSPC", "EDQUOT"], "openat": ["ENOSPC", "EIO", "EMFILE"],
          "open": ["ENOSPC", "EIO"], "rename": ["ENOSPC", "EIO"], "renameat": ["ENOSPC", "EIO"],
          "renameat2": ["EIO", "EINVAL", "ENOSYS"], "mkdir": ["ENOSPC", "EIO"],
          "mkdirat": ["ENOSPC", "EIO"], "unlink": ["EIO"], "unlinkat": ["EIO", "EACCES"],
          "rmdir": ["EIO"]}
MARKER = "faults-begin"


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


def environment():
    return dict(os.environ, HEED_THREADS="1", OPENBLAS_NUM_THREADS="1", HEED_LOG="quiet")


def run(command):
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)


def traced(program, directory, *options):
    return run(["strace", "-qq", *options, program, "save", directory])


def calls_of(log):
    """(name, line) of each call in a strace log."""
    for line in log.splitlines():
        match = re.match(r"(\w+)\(", line)
        if match:
            yield match.group(1), line


class Faults:
    def __init__(self, program, scratch):
        self.program, self.scratch = program, scratch
        self.template = os.path.join(scratch, "template")
        os.mkdir(self.template)
        for _ in range(2):
            done = run([program, "save", self.template])
            assert done.returncode == 0, done.stderr
        stale = os.path.join(self.template, "step-99.tmp")  # what an earlier crash left
        os.mkdir(stale)
        with open(os.path.join(stale, "weights.safetensors"), "w") as file:
            file.write("half")
        self.old = 4
        self.count, self.failures = 0, []

    def fresh(self, name):
        directory = os.path.join(self.scratch, name)
        shutil.copytree(self.template, directory)
        return directory

    def points(self):
        """(call, first, last): the occurrences after the marker; and the log, for check_order."""
        directory = self.fresh("plain")
        log = os.path.join(self.scratch, "log")
        calls = "trace=" + ",".join("?" + call for call in CALLS)
        done = traced(self.program, directory, "-y", "-o", log, "-e", calls)
        if done.returncode != 0:
            skip("strace does not work here: " + done.stderr.strip()[-200:])
        with open(log) as file:
            text = file.read()
        before, total, seen = {}, {}, False
        for name, line in calls_of(text):
            seen = seen or MARKER in line
            total[name] = total.get(name, 0) + 1
            if not seen:
                before[name] = before.get(name, 0) + 1
        assert seen, "no marker in the log"
        self.check_order(text[text.index(MARKER):], directory)
        return [(name, before.get(name, 0) + 1, total[name]) for name in CALLS if name in total]

    def check_order(self, log, directory):
        """Each rename into place: contents synced since they were written, the directory after."""
        synced, written, pending, renames = set(), set(), None, 0
        for name, line in calls_of(log):
            if " = -1 " in line:
                continue
            paths = re.findall(r'<(/[^>]*)>|"([^"]*)"', line)
            paths = [a or b for a, b in paths]
            if name in ("write", "writev"):
                written.add(paths[0])
                synced.discard(paths[0])
            elif name in ("fsync", "fdatasync"):
                synced.add(paths[0])
                if paths[0] == directory:
                    pending = None
            elif name.startswith("rename"):
                source, target = (p for p in paths if p.startswith(directory + "/"))
                if target.endswith("/state.json"):
                    assert source in synced, f"{line}: the new state is not synced"
                if os.path.dirname(target) != directory or target.endswith(".tmp"):
                    continue
                renames += 1
                inside = {p for p in written if p == source or p.startswith(source + "/")}
                inside = {p for p in inside if not p.endswith(".tmp") or p == source}
                assert inside <= synced, f"{line}: not synced: {inside - synced}"
                assert pending is None, \
                    f"{line}: {pending} was not followed by a sync of the directory"
                if not target.endswith(("last", "best")):
                    assert source in synced, f"{line}: the new directory is not synced"
                pending = target
                written -= inside
        assert pending is None and renames >= 7, f"{renames} renames, {pending}"

    def one(self, call, number, fault):
        name = f"{call}-{number}-{fault.replace('=', '-')}"
        directory = self.fresh(name)
        done = traced(self.program, directory, "-o", "/dev/null", "-e", f"trace={call}", "-e",
                      f"inject={call}:{fault}:when={number}")
        killed = fault == "signal=KILL"
        said = done.stderr.strip()
        problem = None
        if killed and done.returncode not in (-signal.SIGKILL, 128 + signal.SIGKILL):
            problem = f"was not killed, but ended with {done.returncode}"
        if not killed and done.returncode not in (0, 3):
            problem = f"ended with {done.returncode}"
        if not killed and done.returncode == 3 and (not said or "\n" in said):
            problem = "one line of error expected"
        if fault == "error=EINTR" and done.returncode != 0:
            problem = "an interrupted call was not repeated"
        check = run([self.program, "verify", directory])
        if check.returncode != 0:
            problem = "afterwards: " + check.stderr.strip()
        elif not self.old <= int(check.stdout) <= self.old + 2:
            problem = f"step {check.stdout.strip()} is neither old nor new"
        elif done.returncode == 0 and int(check.stdout) != self.old + 2:
            problem = "reported success, but the new checkpoint is not there"
        shutil.rmtree(directory)
        return f"{name}: {problem}; {said}" if problem else None


def main():
    program = os.path.join(sys.argv[1], "kill_points")
    if not os.path.exists(program):
        sys.exit(f"{program}: not built")
    if not shutil.which("strace"):
        skip("strace is not installed")
    with tempfile.TemporaryDirectory(prefix="heed_kill_points_") as scratch:
        faults = Faults(program, os.path.realpath(scratch))
        work = []
        for call, first, last in faults.points():
            for number in range(first, last + 1):
                work.append((call, number, "signal=KILL"))
                work += [(call, number, f"error={error}") for error in ERRORS.get(call, [])]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            problems = [p for p in pool.map(lambda w: faults.one(*w), work) if p]
    kills = sum(fault == "signal=KILL" for _, _, fault in work)
    print(f"{kills} kill points, {len(work) - kills} errors: {len(problems)} failed")
    for problem in problems[:20]:
        print("  " + problem)
    if kills < 200:
        sys.exit(f"only {kills} kill points, at least 200 expected")
    sys.exit(bool(problems))


main()
