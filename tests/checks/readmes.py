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


def names(text):
    """What stands between backquotes, up to the first space."""
    words = re.findall(r"`([^`\s]+)[^`]*`", text)
    found = set()
    while words:
        word = words.pop()
        braces = re.search(r"{([^{}]*)}", word)
        if braces:
            words += [word[:braces.start()] + each + word[braces.end():]
                      for each in braces[1].split(",")]
        else:
            found.add(word)
    return found


def patterns(found):
    return {re.sub(r"NAME|<[^>]*>", "*", name) for name in found}


def first_column(text):
    """The glob patterns in the first column of the tables of files."""
    rows, listing = [], False
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        listing = len(cells) > 2 and (listing or cells[1] in ("file", "header", "script"))
        if listing:
            rows.append(cells[1])
    return patterns(names("\n".join(rows)))


def check(folder):
    text = (folder / "README.md").read_text()
    listed = first_column(text)
    # Elsewhere, a pattern for all files says nothing of these.
    named = listed | {each for each in patterns(names(text)) if not re.match(r"\*(\.|$)", each)}
    files = sorted(file for file in folder.iterdir() if file.suffix in SOURCES)
    seen = {file.stem for file in files for name in (file.name, file.stem)
            if any(fnmatch.fnmatch(name, each) for each in named)}
    for file in files:
        if file.stem not in seen:
            yield f"{folder}/README.md does not name {file.name}"
    for each in sorted(listed):
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
