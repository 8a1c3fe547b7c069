"""Pictures resized by Pillow (BILINEAR, which widens its filter where a picture shrinks).

Mode F rounds nothing and is what heed's formula must give; mode RGB rounds after each axis, so its
values may be one beside heed's, which rounds once.
"""
import numpy as np
import torch
from PIL import Image

from golden_io import generator, save

# (height, width) before and after
SIZES = {
    "smaller": ((13, 8), (4, 3)),
    "larger": ((5, 6), (11, 17)),
    "mixed": ((7, 5), (3, 9)),
    "one_axis": ((9, 4), (9, 2)),
    "one_pixel": ((1, 1), (3, 2)),
    "to_one": ((6, 11), (1, 1)),
    "nearly": ((31, 17), (30, 18)),
}


def make():
    g = generator(1901)
    tensors = {}
    for name, (before, (height, width)) in SIZES.items():
        grey = g.uniform(-1, 1, before).astype(np.float32)
        rgb = g.integers(0, 256, (*before, 3)).astype(np.uint8)
        for mode, pixels in (("f32", grey), ("rgb", rgb)):
            out = Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)
            tensors[f"{name}.{mode}.in"] = torch.from_numpy(pixels)
            tensors[f"{name}.{mode}.out"] = torch.from_numpy(np.array(out))
    save("resize", tensors)
