"""Small pictures of every kind that heed reads, and their pixels as PIL decodes them.

PIL writes few kinds of PNG, so they are written here, chunk by chunk; every filter type occurs.
"""
import io
import struct
import zlib

import numpy as np
import torch
import torchvision
from PIL import Image, ImageOps

from golden_io import HERE, generator, save

FOLDER = HERE / "pictures"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # the colour types of PNG
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2),
         (1, 0, 2, 1)]  # first row, first column, steps


def chunk(kind, content):
    return (struct.pack(">I", len(content)) + kind + content
            + struct.pack(">I", zlib.crc32(kind + content)))


def pack_rows(samples, bits):
    """[H, W, C] -> the bytes of each row."""
    height = samples.shape[0]
    flat = samples.reshape(height, -1)
    if bits == 16:
        return [row.astype(">u2").tobytes() for row in flat]
    if bits == 8:
        return [row.astype(np.uint8).tobytes() for row in flat]
    places = np.arange(bits - 1, -1, -1)
    return [np.packbits((row[:, None] >> places & 1).astype(np.uint8).ravel()).tobytes()
            for row in flat]


def filtered(rows, step):
    """Each row with the next filter type: none, left, above, average, Paeth."""
    out, above = b"", bytes(len(rows[0]))
    for y, row in enumerate(rows):
        left = bytes(step) + row[:-step] if len(row) > step else bytes(len(row))
        corner = bytes(step) + above[:-step] if len(row) > step else bytes(len(row))
        kind = y % 5

        def guess(i):
            a, b, c = left[i], above[i], corner[i]
            if kind < 4:
                return [0, a, b, (a + b) // 2][kind]
            return min((a, b, c), key=lambda v: abs(a + b - c - v))

        out += bytes([kind]) + bytes((row[i] - guess(i)) & 255 for i in range(len(row)))
        above = row
    return out


def png(samples, colour, bits, interlaced=False, extra=b""):
    height, width = samples.shape[:2]
    step = max(1, CHANNELS[colour] * bits // 8)
    parts = [samples[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [samples]
    data = b"".join(filtered(pack_rows(p, bits), step) for p in parts if p.size)
    packed = zlib.compress(data, 9)
    middle = len(packed) // 2  # two IDAT chunks
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra
            + chunk(b"IDAT", packed[:middle]) + chunk(b"IDAT", packed[middle:])
            + chunk(b"IEND", b""))


def scene(height, width, channels, levels, g):
    """Slopes with a box in it and a little noise: values in [0, levels)."""
    y, x = np.mgrid[:height, :width]
    slope = np.stack([(x * (c + 2) + y * (3 - c % 3)) / (3 * width + 3 * height)
                      for c in range(channels)], axis=-1)
    slope[height // 3:height // 2, width // 4:width // 2] = 0.9
    noisy = slope + g.uniform(-0.03, 0.03, slope.shape)
    return np.clip((noisy * levels).astype(np.int64), 0, levels - 1)


def all_pngs(g):
    size = (11, 13)
    for bits in (1, 2, 4, 8, 16):
        yield f"grey_{bits}", png(scene(*size, 1, 2**bits, g), GREY, bits)
    for bits in (1, 2, 4, 8):
        colours = chunk(b"PLTE", g.integers(0, 256, 3 * 2**bits, dtype=np.uint8).tobytes())
        samples = scene(*size, 1, 2**bits, g)
        yield f"palette_{bits}", png(samples, PALETTE, bits, extra=colours)
        if bits in (2, 8):
            clear = chunk(b"tRNS", g.integers(0, 256, 2**bits, dtype=np.uint8).tobytes())
            yield f"palette_{bits}_transparent", png(samples, PALETTE, bits, extra=colours + clear)
    for bits in (8, 16):
        yield f"grey_alpha_{bits}", png(scene(*size, 2, 2**bits, g), GREY_ALPHA, bits)
        yield f"rgb_{bits}", png(scene(*size, 3, 2**bits, g), RGB, bits)
        yield f"rgba_{bits}", png(scene(*size, 4, 2**bits, g), RGBA, bits)
    samples = scene(*size, 3, 256, g)
    clear = chunk(b"tRNS", struct.pack(">HHH", *samples[0, 0]))
    yield "rgb_8_transparent", png(samples, RGB, 8, extra=clear)
    samples = scene(*size, 1, 4, g)
    yield "grey_2_transparent", png(samples, GREY, 2, extra=chunk(b"tRNS", struct.pack(">H", 3)))
    yield "interlaced_grey_1", png(scene(*size, 1, 2, g), GREY, 1, True)
    yield "interlaced_grey_16", png(scene(*size, 1, 2**16, g), GREY, 16, True)
    yield "interlaced_rgb_8", png(scene(*size, 3, 256, g), RGB, 8, True)
    yield "interlaced_rgba_16", png(scene(*size, 4, 2**16, g), RGBA, 16, True)
    colours = chunk(b"PLTE", g.integers(0, 256, 48, dtype=np.uint8).tobytes())
    yield "interlaced_palette_4", png(scene(*size, 1, 16, g), PALETTE, 4, True, colours)
    yield "interlaced_2x3", png(scene(2, 3, 3, 256, g), RGB, 8, True)  # passes without pixels
    yield "one_pixel", png(scene(1, 1, 3, 256, g), RGB, 8)
    # Chunks that do not concern the pixels: text, a gamma that would change them, an unknown one.
    extra = (chunk(b"gAMA", struct.pack(">I", 100000)) + chunk(b"tEXt", b"Comment\0heed")
             + chunk(b"heEd", b"unknown"))
    yield "extra_chunks", png(scene(*size, 3, 256, g), RGB, 8, extra=extra)


def all_jpegs(g):
    def jpeg(samples, mode="RGB", **options):
        samples = samples.astype(np.uint8)
        image = Image.fromarray(samples[..., 0] if mode == "L" else samples, mode)
        out = io.BytesIO()
        image.save(out, "JPEG", quality=options.pop("quality", 85), **options)
        return out.getvalue()

    size = (19, 21)
    colour, grey, cmyk = (scene(*size, c, 256, g) for c in (3, 1, 4))
    yield "baseline_420", jpeg(colour, subsampling="4:2:0")
    yield "baseline_444", jpeg(colour, subsampling="4:4:4")
    yield "baseline_422", jpeg(colour, subsampling="4:2:2")
    yield "progressive", jpeg(colour, progressive=True)
    yield "progressive_grey", jpeg(grey, "L", progressive=True)
    yield "grey", jpeg(grey, "L")
    yield "rgb", jpeg(colour, keep_rgb=True)
    yield "restarts", jpeg(colour, restart_marker_blocks=1)
    yield "cmyk", jpeg(cmyk, "CMYK")
    # The same components taken as Y, Cb, Cr and K: the last byte of Adobe's marker says so.
    ycck = bytearray(jpeg(cmyk, "CMYK"))
    ycck[ycck.index(b"Adobe") + 11] = 2
    yield "ycck", bytes(ycck)
    small = scene(9, 12, 3, 256, g)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        exif.endian = "<" if orientation % 2 else ">"
        yield f"orientation_{orientation}", jpeg(small, exif=exif, subsampling="4:4:4")


def make():
    FOLDER.mkdir(exist_ok=True)
    g = generator(2012)
    tensors = {}

    def record(name, suffix, content):
        path = FOLDER / f"{name}.{suffix}"
        path.write_bytes(content)
        image = Image.open(path)
        image.load()
        upright = ImageOps.exif_transpose(image) if suffix == "jpg" else image
        if image.mode == "I;16":  # PIL would clip at 255; its other 16-bit kinds take the upper 8
            upright = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        rgb = torch.from_numpy(np.array(upright.convert("RGB")))
        if image.mode in ("L", "RGB") and suffix == "png":  # a second witness
            other = torchvision.io.read_image(str(path), torchvision.io.ImageReadMode.RGB)
            assert other.dtype != torch.uint8 or torch.equal(other.permute(1, 2, 0), rgb), name
        tensors[f"{name}.rgb"] = rgb
        tensors[f"{name}.grey"] = torch.from_numpy(np.array(upright.convert("L")))[..., None]

    for name, content in all_pngs(g):
        record(name, "png", content)
    for name, content in all_jpegs(g):
        record(name, "jpg", content)
    save("pictures", tensors)
