"""Convolutions of one, two and three axes: outputs and gradients."""
import torch
import torch.nn.functional as F

from golden_io import generator, normal, record, save

CASES = [  # name, x, weight, options
    ("1d", (2, 3, 9), (4, 3, 3), {}),
    ("1d_all", (2, 4, 17), (6, 2, 3), dict(stride=2, padding=3, dilation=2, groups=2)),
    ("2d", (2, 3, 6, 7), (4, 3, 3, 2), {}),
    ("2d_same", (2, 3, 8, 9), (5, 3, 3, 3), dict(padding=1)),
    ("2d_stride", (2, 3, 9, 8), (4, 3, 3, 3), dict(stride=2, padding=1)),
    ("2d_patch", (1, 2, 8, 12), (3, 2, 4, 4), dict(stride=4)),
    ("2d_all", (1, 4, 11, 10), (4, 2, 3, 2),
     dict(stride=(2, 1), padding=(1, 2), dilation=(1, 3), groups=2)),
    ("2d_depthwise", (2, 4, 6, 5), (4, 1, 3, 3), dict(padding=1, groups=4)),
    ("3d", (1, 2, 4, 5, 6), (3, 2, 2, 3, 3), dict(padding=(0, 1, 1))),
    ("3d_all", (1, 2, 6, 7, 5), (2, 1, 2, 3, 3),
     dict(stride=(2, 1, 2), padding=1, dilation=(2, 1, 1), groups=2)),
]


def make():
    g = generator(501)
    functions = {"1": F.conv1d, "2": F.conv2d, "3": F.conv3d}
    tensors = {}
    for name, x, weight, options in CASES:
        function = functions[name[0]]
        inputs = {"x": normal(g, *x), "weight": normal(g, *weight), "bias": normal(g, weight[0])}
        shape = function(inputs["x"], inputs["weight"], **options).shape
        tensors |= record(name, inputs,
                          lambda x, weight, bias: function(x, weight, bias, **options),
                          normal(g, *shape))
    save("ops_conv", tensors)
