#!/usr/bin/env python3
"""Fails where a folder's README.md and the files of the folder disagree.

readmes.py SOURCE_ROOT

Every source file of the folder is named between backquotes, with or without its ending, or has the
stem of one that is; `*`, NAME and <name> stand for any text, {a,b} for either. Every name in the
first column of a table headed file, header or script is that of a file or folder which is there.
"""
import fnmatch
import pathlib
import re
import sys

FOLDERS = ("autograd", "backends", "cmake", "core", "data", "examples", "models", "nn",
           "nn/attention", "tests", "tests/bench/peers", "tests/golden", "train", "viz")
SOURCES = {".cmake", ".cpp", ".cu", ".cuh", ".h", ".py"}


def patterns(text):
    """Glob patterns of what stands between backquotes, up to the first space."""
    words = [quoted.split()[0] for quoted in re.findall(r"`([^`]+)`", text)]
    found = set()
    while words:
        word = re.sub(r"NAME|<[^>]*>", "*", words.pop())
        braces = re.search(r"{([^{}]*)}", word)
        if braces:
            words += [word[:braces.start()] + each + word[braces.end():]
                      for each in braces[1].split(",")]
        else:
            found.add(word)
    return found


def first_column(text):
    rows, listing = [], False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        listing = len(cells) > 2 and (listing or cells[1] in ("file", "header", "script"))
        if listing:
            rows.append(cells[1])
    return "\n".join(rows)


def check(folder):
    text = (folder / "README.md").read_text()
    named = patterns(text)
    files = sorted(file for file in folder.iterdir() if file.suffix in SOURCES)
    seen = {file.stem for file in files for each in named
            if fnmatch.fnmatch(file.name, each) or fnmatch.fnmatch(file.stem, each)}
    for file in files:
        if file.stem not in seen:
            yield f"{folder}/README.md does not name {file.name}"
    for each in sorted(patterns(first_column(text))):
        if not any(folder.glob(each)) and not any(folder.glob(each + ".*")):
            yield f"{folder}/README.md names {each}, which is not there"


def main():
    root = pathlib.Path(sys.argv[1])
    faults = [fault for folder in FOLDERS for fault in check(root / folder)]
    known = {root / folder / "README.md" for folder in FOLDERS}
    for readme in sorted(root.glob("*/**/README.md")):
        if readme not in known and readme.parts[len(root.parts)] not in ("build", "docs"):
            faults.append(f"{readme}: its folder is not in the list of tests/checks/readmes.py")
    sys.exit("\n".join(faults) or 0)


main()
