"""What the tests of command lines share: programs are run, and what is not as it should be is
gathered. The first argument of a test is the directory of the programs.
"""
import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile

BIN = pathlib.Path(sys.argv[1]).resolve()
# Where OpenBLAS chooses slow kernels, a line of the log says what heed did about it.
os.environ.setdefault("HEED_LOG", "quiet")
failures, count = [], 0


def run(words, stdin=b"", env=None):
    return subprocess.run([BIN / words[0], *words[1:]], input=stdin, capture_output=True,
                          timeout=300, env={**os.environ, **(env or {})})


def note(words, fault, result):
    text = result.stderr.decode("utf-8", "replace")[:600]
    failures.append(f"{' '.join(map(str, words))}\n    {fault}: {text}")


def bad(says, *words, stdin=b"", env=None, lines_before=None):
    """Exit code 1, nothing but one line on stderr, which names the program and contains `says`;
    so many lines on stdout, where that is asked for."""
    global count
    count += 1
    result = run(words, stdin, env)
    lines = result.stderr.decode("utf-8", "replace").splitlines()
    fault = None
    if result.returncode != 1:
        fault = f"exit code {result.returncode}"
    elif len(lines) != 1:
        fault = f"{len(lines)} lines on stderr"
    elif not lines[0].startswith(words[0] + ": "):
        fault = "the line does not begin with the program's name"
    elif says not in lines[0]:
        fault = f"'{says}' is not in the line"
    elif lines_before is not None and result.stdout.count(b"\n") != lines_before:
        fault = f"{lines_before} lines on stdout expected: {result.stdout!r}"
    if fault:
        note(words, fault, result)


def good(*words, stdin=b"", env=None):
    global count
    count += 1
    result = run(words, stdin, env)
    if result.returncode != 0:
        note(words, f"exit code {result.returncode}", result)
    return result.stdout.decode("utf-8", "replace")


def answers(*words, lines):
    """Each line is answered by a line while stdin stays open; then the program ends well."""
    global count
    count += 1
    with subprocess.Popen([BIN / words[0], *words[1:]], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for line in lines:
            process.stdin.write(line)
            process.stdin.flush()
            if not select.select([process.stdout], [], [], 60)[0] or not process.stdout.readline():
                process.kill()
                failures.append(f"{' '.join(map(str, words))}\n    no answer to {line!r}")
                return
        try:
            rest, errors = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            rest, errors = b"", b"it does not end with its input"
        if process.returncode or rest or errors:
            failures.append(f"{' '.join(map(str, words))}\n    {rest!r}, {errors!r}")


def prints_as_it_goes(*words):
    """Something is on stdout long before the program, which takes very long, would end."""
    global count
    count += 1
    with subprocess.Popen([BIN / words[0], *words[1:]], stdout=subprocess.PIPE) as process:
        if not (select.select([process.stdout], [], [], 60)[0] and process.stdout.read(1)):
            failures.append(f"{' '.join(map(str, words))}\n    nothing after a minute")
        process.kill()


def same_loss_accumulated(directory, *words):
    """The training loss of an epoch is the mean over all its batches, however many make an
    update: at a learning rate of almost 0 it is the same for each --accumulate."""
    losses = []
    for accumulate in ("1", "2", "3"):
        out = directory / accumulate
        good(*words, "--epochs", "1", "--lr", "1e-9", "--accumulate", accumulate, "--out", out)
        lines = (out / "metrics.jsonl").read_text().splitlines()
        losses += [line["train_loss"] for line in map(json.loads, lines) if line["kind"] == "epoch"]
    if len(losses) != 3 or max(losses) - min(losses) > 1e-5:
        failures.append(f"{words[0]}: train_loss depends on --accumulate: {losses}")


def test(main, least):
    """main(work) in an empty directory; at least so many command lines, and none wrong."""
    with tempfile.TemporaryDirectory() as folder:
        main(pathlib.Path(folder))
    print(f"{count} command lines, {len(failures)} not as they should be")
    for failure in failures:
        print("  " + failure)
    sys.exit(1 if failures or count < least else 0)
