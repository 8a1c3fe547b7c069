"""Non-local blocks (Wang et al. 2018) in plain PyTorch, as they are usually written."""
import torch
from torch import nn

from golden_io import generator, normal, randomise, randomise_statistics, record, save

CHANNELS = 6
CONV = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORM = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}


class NonLocal(nn.Module):
    def __init__(self, kind, axes, sub_sample=False, bn_layer=True):
        super().__init__()
        inner = CHANNELS // 2
        conv = lambda inputs, outputs: CONV[axes](inputs, outputs, 1)
        pool = {1: nn.MaxPool1d(2), 2: nn.MaxPool2d(2), 3: nn.MaxPool3d((1, 2, 2))}[axes]
        pooled = lambda layer: nn.Sequential(layer, pool) if sub_sample else layer
        self.kind = kind
        self.g = pooled(conv(CHANNELS, inner))
        self.W = conv(inner, CHANNELS)
        if bn_layer:
            self.W = nn.Sequential(self.W, NORM[axes](CHANNELS))
        if kind == "gaussian":
            self.theta, self.phi = nn.Identity(), pool if sub_sample else nn.Identity()
        else:
            self.theta, self.phi = conv(CHANNELS, inner), pooled(conv(CHANNELS, inner))
        if kind == "concatenation":
            self.concat_project = nn.Sequential(nn.Conv2d(2 * inner, 1, 1, bias=False), nn.ReLU())

    def forward(self, x):
        q, k, v = (f(x).flatten(2) for f in (self.theta, self.phi, self.g))  # [B, C, N]
        if self.kind == "concatenation":
            n, s = q.shape[2], k.shape[2]
            pairs = torch.cat([q[:, :, :, None].expand(-1, -1, -1, s),
                               k[:, :, None, :].expand(-1, -1, n, -1)], 1)
            weights = self.concat_project(pairs)[:, 0] / s
        else:
            weights = q.transpose(1, 2) @ k
            weights = weights / k.shape[2] if self.kind == "dot_product" else weights.softmax(-1)
        y = (weights @ v.transpose(1, 2)).transpose(1, 2)
        return self.W(y.reshape(*y.shape[:2], *x.shape[2:])) + x


def make():
    for seed, kind in enumerate(["gaussian", "embedded_gaussian", "dot_product", "concatenation"]):
        g, tensors = generator(950 + seed), {}
        for case, axes, options, shape in [
                ("plain", 2, {}, (4, 5)), ("sampled", 2, {"sub_sample": True}, (5, 7)),
                ("line", 1, {"bn_layer": False}, (9,)),
                ("clip", 3, {"sub_sample": True}, (3, 4, 5))]:
            block = randomise_statistics(randomise(NonLocal(kind, axes, **options), g), g)
            block.train(case != "clip")
            tensors |= {f"{case}.param.{n}": t.clone() for n, t in block.state_dict().items()}
            x, cotangent = normal(g, 2, CHANNELS, *shape), normal(g, 2, CHANNELS, *shape)
            tensors |= record(case, {"x": x}, lambda x: block(x), cotangent, block)
        save(f"non_local_{kind}", tensors)
