#!/usr/bin/env python3
"""Every kind of picture, with hostile text in it: well-formed XML that shows the text and
refers to nothing.

pictures_test.py BIN_DIR
"""
import base64
import json
import sys
import tempfile
import zlib
import xml.etree.ElementTree as ElementTree

from tokens import TOKENS, make_pictures, shown

SVG, XHTML = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xhtml}"
SHAPES = {SVG + name for name in ("svg", "title", "g", "rect", "line", "polyline", "circle", "path",
                                  "text", "image")}
SHOWN = [shown(token) for token in TOKENS]
failures = []


def expect(fact, what):
    if not fact:
        failures.append(what)


def check_references(root, name):
    for element in root.iter():
        for key, value in element.attrib.items():
            expect(not key.startswith("on"), f"{name}: handler {key}")
            if key.endswith(("href", "src", "data", "action")):
                png = value.startswith("data:image/png;base64,")
                expect(png, f"{name}: {key} = {value[:60]}")
                if png:
                    image = base64.b64decode(value.split(",")[1], validate=True)
                    whole = image.startswith(b"\x89PNG\r\n\x1a\n") and \
                        image.endswith(b"IEND\xaeB`\x82")
                    expect(whole, f"{name}: no PNG")


def pixels_of(png):
    """Rows of (r, g, b) of what heed writes: one IDAT, 8-bit RGB, each row a difference to the one
    above.
    """
    width, height = int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")
    begin = png.index(b"IDAT") + 4
    raw = zlib.decompress(png[begin:begin + int.from_bytes(png[begin - 8:begin - 4], "big")])
    rows, above = [], bytes(3 * width)
    for y in range(height):
        line = raw[y * (3 * width + 1):(y + 1) * (3 * width + 1)]
        above = bytes((a + b) % 256 for a, b in zip(line[1:], above))
        rows.append([tuple(above[3 * x:3 * x + 3]) for x in range(width)])
    return rows


def check_large_map(path):
    """90 x 70 cells, each a square of 16 pixels in one colour: dark on the diagonal, light far from
    it.
    """
    image = next(ElementTree.parse(path).getroot().iter(SVG + "image"))
    rows = pixels_of(base64.b64decode(image.get("href").split(",")[1]))
    expect((len(rows), len(rows[0])) == (90 * 16, 70 * 16),
           f"large map: {len(rows)} x {len(rows[0])} pixels")
    even = all(rows[y][x] == rows[y // 16 * 16][x // 16 * 16]
               for y in range(90 * 16) for x in range(70 * 16))
    expect(even, "large map: a cell of two colours")
    light = lambda i, j: sum(rows[16 * i][16 * j])
    expect(all(light(i, i) < light(i, (i + 35) % 70) for i in range(70)),
           "large map: no dark diagonal")
    expect(light(80, 0) > 700, "large map: the corner is not light")


def check_svg(path, texts, images):
    root = ElementTree.parse(path).getroot()
    expect(root.tag == SVG + "svg", f"{path.name}: root {root.tag}")
    others = {element.tag for element in root.iter()} - SHAPES
    expect(not others, f"{path.name}: elements {others}")
    check_references(root, path.name)
    found = {element.text or "" for element in root.iter(SVG + "text")}
    for text in texts:
        limit = text if len(text) <= 32 or path.name != "maps.svg" else text[:31] + "…"
        expect(text in found or limit in found, f"{path.name}: {text!r} is not shown")
    expect(len(list(root.iter(SVG + "image"))) == images, f"{path.name}: {images} images expected")


def check_page(path):
    root = ElementTree.parse(path).getroot()
    expect(root.tag == XHTML + "html", f"page: root {root.tag}")
    check_references(root, "page")
    scripts = list(root.iter(XHTML + "script"))
    expect(len(scripts) == 2, f"page: {len(scripts)} scripts")
    data = json.loads(next(s.text for s in scripts if s.get("id") == "data"))
    expect(data[0]["columns"] == SHOWN and data[0]["rows"] == SHOWN[:3], "page: tokens")
    expect([len(layer) for layer in data[0]["layers"]] == [2, 3], "page: heads")
    paragraphs = [p.text or "" for p in root.iter(XHTML + "p") if p.get("dir") == "auto"]
    expect(paragraphs == SHOWN, f"page: paragraphs {paragraphs}")
    for label in root.iter(XHTML + "label"):
        control = label.get("for")
        expect(any(e.get("id") == control for e in label.iter()),
               f"page: no control {control} in its label")
    expect(len(list(root.iter(XHTML + "label"))) == 4, "page: four labelled controls")


def check_picture_page(path):
    root = ElementTree.parse(path).getroot()
    check_references(root, "picture page")
    expect(not list(root.iter(XHTML + "script")), "picture page: a script")
    images = list(root.iter(XHTML + "img"))
    expect(len(images) == 2 * (1 + len(SHOWN)), f"picture page: {len(images)} images")
    expect(all(image.get("alt") for image in images), "picture page: an image without a text")
    captions = [caption.text or "" for caption in root.iter(XHTML + "figcaption")]
    for text in SHOWN:
        found = sum(caption.startswith(text + ": ") and " to " in caption for caption in captions)
        expect(found >= 2, f"picture page: {text!r} is not shown")


with tempfile.TemporaryDirectory() as folder:
    pictures = make_pictures(sys.argv[1], folder)
    check_svg(pictures / "maps.svg", SHOWN, 0)
    check_svg(pictures / "large_map.svg", SHOWN[:1], 1)
    check_large_map(pictures / "large_map.svg")
    check_svg(pictures / "lines.svg", SHOWN[:8], 0)
    check_svg(pictures / "bars.svg", SHOWN[:8], 0)
    check_page(pictures / "page.html")
    check_picture_page(pictures / "pictures.html")
for failure in failures:
    print("  " + failure)
print(f"{len(failures)} failures")
sys.exit(1 if failures else 0)
