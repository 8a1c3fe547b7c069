"""Pooling and interpolation: outputs and gradients against a fixed random cotangent."""
import torch
import torch.nn.functional as F

from golden_io import generator, normal, record, save

SHAPES = {1: (2, 2, 9), 2: (1, 2, 7, 6), 3: (1, 1, 5, 4, 6)}
POOLS = {
    "plain": dict(kernel_size=2),
    "overlap": dict(kernel_size=3, stride=2, padding=1),
    "ceil": dict(kernel_size=3, stride=2, padding=1, ceil_mode=True),
}
RESIZED = {
    "nearest_size": dict(size=5, mode="nearest"),
    "nearest_factor": dict(scale_factor=1.7, mode="nearest"),
    "linear_size": dict(size=5, mode="linear"),
    "linear_factor": dict(scale_factor=1.7, mode="linear"),
    "linear_smaller": dict(scale_factor=0.6, mode="linear"),
    "linear_corners": dict(size=5, mode="linear", align_corners=True),
}


def pools():
    g = generator(321)
    one = lambda out: normal(g, *out.shape)
    tensors = {}
    for axes, shape in SHAPES.items():
        # tenths: some are equal, and the gradient has to go to the first
        x = (normal(g, *shape) * 10).round() / 10
        functions = {f"{kind}_pool{axes}d_{label}": (getattr(F, f"{kind}_pool{axes}d"), options)
                     for kind in ("max", "avg") for label, options in POOLS.items()}
        functions[f"max_pool{axes}d_dilation"] = (
            getattr(F, f"max_pool{axes}d"), dict(kernel_size=2, stride=1, padding=1, dilation=2))
        functions[f"avg_pool{axes}d_without_pad"] = (
            getattr(F, f"avg_pool{axes}d"), dict(POOLS["ceil"], count_include_pad=False))
        for kind in ("max", "avg"):
            for size in (1, 3):
                functions[f"adaptive_{kind}_pool{axes}d_{size}"] = (
                    getattr(F, f"adaptive_{kind}_pool{axes}d"), dict(output_size=size))
        for name, (f, options) in functions.items():
            tensors |= record(name, {"x": x}, lambda x: f(x, **options), one)
    save("ops_pool", tensors)


def resized():
    g = generator(322)
    one = lambda out: normal(g, *out.shape)
    tensors = {}
    for axes, shape in SHAPES.items():
        x = normal(g, *shape)
        for name, options in RESIZED.items():
            mode = {"linear": [None, "linear", "bilinear", "trilinear"][axes]}
            options = options | {"mode": mode.get(options["mode"], options["mode"])}
            tensors |= record(f"{name}_{axes}d", {"x": x}, lambda x: F.interpolate(x, **options),
                              one)
    # Which element is the nearest, for sizes where f32 rounding decides: place by place.
    for n, m in ((7, 41), (49, 100), (100, 49), (41, 82), (64, 63), (10, 3), (3, 10)):
        places = torch.arange(n).double().reshape(1, 1, n)
        tensors |= record(f"places_{n}_{m}", {"x": places},
                          lambda x: F.interpolate(x, size=m, mode="nearest"), one)
    save("ops_interpolate", tensors)


def make():
    pools()
    resized()
