#!/usr/bin/env python3
"""Uses the pictures in a headless Chromium: the page by pointer and by keys, room for
text in other fonts.

browser_test.py BIN_DIR; ends with 77 where there is no Chromium.
"""
import json
import pathlib
import sys
import tempfile

from browser import Browser, find_chromium
from tokens import TOKENS, make_pictures, shown

SHOWN = [shown(token) for token in TOKENS]
failures = []


def expect(fact, what):
    if not fact:
        failures.append(what)


def check_page(browser, path):
    browser.open(path)
    value = browser.value
    data = json.loads(value("document.getElementById('data').textContent"))
    reading = lambda: value("document.getElementById('reading').textContent")
    focus = lambda: value("document.activeElement.tagName + ' ' + (document.activeElement.id || "
                          "document.activeElement.dataset.row + ' ' + "
                          "document.activeElement.dataset.column)")

    def expect_reading(group, layer, head, row, column, what):
        weight = data[group]["layers"][layer][head][row][column]
        query, key = data[group]["rows"][row], data[group]["columns"][column]
        text = f"“{query}” looks at “{key}”: {weight:.4f}"
        expect(reading() == text, f"{what}: {text!r} expected, got {reading()!r}")

    # Tokens are text, and only that.
    expect(value("document.scripts.length") == 2 and not value("'hurt' in window"),
           "a token became a script")
    expect(value("document.querySelectorAll('b').length") == 0, "a token became an element")
    heads = value("[...document.querySelectorAll('thead th')].map(e => e.textContent)")
    expect(heads == SHOWN, f"column headings {heads}")
    expect(value("document.querySelectorAll('td[role=gridcell]').length") == 3 * len(SHOWN),
           "cells")
    every = lambda selector, fact: value(
        f"[...document.querySelectorAll('{selector}')].every(e => {fact})")
    expect(every("td[role=gridcell]", "e.ariaLabel.includes('looks at')"), "a cell without label")
    expect(every("select, input", "e.labels.length == 1"), "a control without label")

    # The colour of a cell is its weight: more weight, more of it.
    alpha = lambda row, column: value(f"getComputedStyle(cell({row}, {column})).backgroundColor")
    expect(alpha(0, 0) != alpha(0, len(SHOWN) - 1), f"one colour for all: {alpha(0, 0)}")

    # The pointer.
    value("cell(2, 4).scrollIntoView({block: 'center', inline: 'center'})")
    x, y = value("(r => [r.x + r.width / 2, r.y + r.height / 2])"
                 "(cell(2, 4).getBoundingClientRect())")
    browser.point(x, y)
    expect_reading(0, 0, 0, 2, 4, "pointer")
    marked = value("[...document.querySelectorAll('th.on')].map(e => e.textContent)")
    expect(sorted(marked) == sorted([SHOWN[2], SHOWN[4]]), f"marked headings {marked}")
    browser.point(1, 1)
    expect_reading(0, 0, 0, 0, 0, "pointer outside")

    # The keyboard: through the controls into the map, and through it.
    visited = []
    for _ in range(5):
        browser.key("Tab")
        visited.append(focus())
    expect(visited == ["SELECT kind", "SELECT layer", "SELECT head", "INPUT relative", "TD 0 0"],
           f"Tab: {visited}")
    last = len(SHOWN) - 1
    for key, row, column in (("ArrowRight", 0, 1), ("ArrowDown", 1, 1), ("ArrowDown", 2, 1),
                             ("ArrowDown", 2, 1), ("ArrowLeft", 2, 0), ("ArrowLeft", 2, 0),
                             ("End", 2, last), ("ArrowUp", 1, last), ("Home", 1, 0),
                             ("ArrowRight", 1, 1)):
        browser.key(key)
        expect(focus() == f"TD {row} {column}", f"{key}: focus on {focus()}, not {row} {column}")
        expect_reading(0, 0, 0, row, column, key)
    outline = value("parseFloat(getComputedStyle(document.activeElement).outlineWidth)")
    expect(value("document.activeElement.matches(':focus-visible')") and outline >= 2,
           "focus is not visible")
    expect(value("document.querySelectorAll('td[tabindex=\"0\"]').length") == 1,
           "Tab reaches several cells")

    # Other maps, chosen by keys; the cell stays.
    value("document.getElementById('layer').focus()")
    browser.key("ArrowDown")
    expect_reading(0, 1, 0, 1, 1, "layer 2")
    expect(value("document.getElementById('head').options.length") == 3, "heads of layer 2")
    value("document.getElementById('head').focus()")
    browser.key("End")
    expect_reading(0, 1, 2, 1, 1, "head 3")
    value("document.getElementById('kind').focus()")
    browser.key("ArrowDown")
    expect_reading(1, 0, 1, 1, 1, "the other kind")
    before = alpha(1, 1)
    value("document.getElementById('relative').focus()")
    browser.key("Space")
    expect(value("document.getElementById('relative').checked") and alpha(1, 1) != before,
           "relative colours")

    # Dark where the reader's system is.
    paper = lambda: value("getComputedStyle(document.body).backgroundColor")
    light = paper()
    browser.call("Emulation.setEmulatedMedia",
                 features=[{"name": "prefers-color-scheme", "value": "dark"}])
    dark = paper()
    expect((light, dark) == ("rgb(255, 255, 255)", "rgb(20, 23, 28)"),
           f"light and dark: {light}, {dark}")
    browser.call("Emulation.setEmulatedMedia", features=[])
    expect(not browser.errors(), f"page: {browser.errors()}")


def check_svg(browser, path):
    browser.open(path)
    for font in ("sans-serif", "serif", "monospace", "DejaVu Sans", "cursive"):
        browser.value(f"document.documentElement.setAttribute('font-family', '{font}')")
        outside = browser.value("""(() => {
            const all = document.documentElement.getBoundingClientRect();
            const texts = [...document.querySelectorAll('text')];
            return texts.filter(e => e.textContent.trim()).filter(e => {
              const r = e.getBoundingClientRect();
              return r.width == 0 || r.left < all.left || r.top < all.top || r.right > all.right ||
                r.bottom > all.bottom;
            }).map(e => e.textContent); })()""")
        expect(not outside, f"{path.name}: in {font} outside of the picture: {outside}")
    expect(not browser.errors(), f"{path.name}: {browser.errors()}")


program = find_chromium()
if not program:
    print("skipped: there is no Chromium here")
    sys.exit(77)
with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
    work = pathlib.Path(folder)
    (work / "pictures").mkdir()
    pictures = make_pictures(sys.argv[1], work / "pictures")
    browser = Browser(program, work / "profile")
    try:
        check_page(browser, pictures / "page.html")
        for name in ("maps", "large_map", "lines", "bars"):
            check_svg(browser, pictures / f"{name}.svg")
    finally:
        browser.close()
for failure in failures:
    print("  " + failure)
print(f"{len(failures)} failures")
sys.exit(1 if failures else 0)
