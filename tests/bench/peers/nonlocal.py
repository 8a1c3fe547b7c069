#!/usr/bin/env python3
"""The non-local block in eager PyTorch, forward plus backward, float32.

Batch 4, 64 channels, 32 inside, no sub-sampling, maps of 32 x 32 and 64 x 64:
  naive      the usual module (Wang et al. 2018, embedded Gaussian): 1x1 convolutions, the map of
             all pairs, softmax, batch norm after W
  sdpa       the same on scaled_dot_product_attention
  efficient  efficient attention as a module (Shen et al. 2021): 1x1 convolutions, keys normalised
             over positions, queries over channels, head by head
NCHW and channels_last are tried, the better one counts.
"""
import argparse

from timing import emit, median_seconds, need_torch, wanted

BATCH, CHANNELS, INNER = 4, 64, 32


def modules(torch):
    nn, functional = torch.nn, torch.nn.functional

    class NonLocal(nn.Module):
        def __init__(self, attend):
            super().__init__()
            self.attend = attend
            self.theta, self.phi, self.g = (nn.Conv2d(CHANNELS, INNER, 1) for _ in range(3))
            self.W = nn.Sequential(nn.Conv2d(INNER, CHANNELS, 1), nn.BatchNorm2d(CHANNELS))

        def forward(self, x):
            q, k, v = (f(x).flatten(2).transpose(1, 2) for f in (self.theta, self.phi, self.g))
            y = self.attend(q, k, v).transpose(1, 2).reshape(len(x), INNER, *x.shape[2:])
            return self.W(y) + x

    class Efficient(nn.Module):
        def __init__(self, heads=1):
            super().__init__()
            self.heads = heads
            self.keys, self.queries, self.values = (nn.Conv2d(CHANNELS, INNER, 1) for _ in range(3))
            self.reprojection = nn.Conv2d(INNER, CHANNELS, 1)

        def forward(self, x):
            parts = [f(x).flatten(2).chunk(self.heads, 1)
                     for f in (self.queries, self.keys, self.values)]  # each [B, D, N]
            attended = []
            for q, k, v in zip(*parts):
                context = k.softmax(dim=2) @ v.transpose(1, 2)               # [B, D, E]
                attended.append(context.transpose(1, 2) @ q.softmax(dim=1))  # [B, E, N]
            y = torch.cat(attended, 1).reshape(len(x), INNER, *x.shape[2:])
            return self.reprojection(y) + x

    def naive(q, k, v):
        return (q @ k.transpose(1, 2)).softmax(dim=-1) @ v

    def sdpa(q, k, v):
        q, k, v = (t.unsqueeze(1) for t in (q, k, v))  # one head
        return functional.scaled_dot_product_attention(q, k, v, scale=1.0).squeeze(1)

    return {"naive": lambda: NonLocal(naive), "sdpa": lambda: NonLocal(sdpa),
            "efficient": Efficient}


def seconds_a_run(torch, make, side, memory_format, seconds):
    torch.manual_seed(1)
    block = make().to(memory_format=memory_format).train()
    x = torch.randn(BATCH, CHANNELS, side, side).contiguous(memory_format=memory_format)
    x.requires_grad_()
    cotangent = torch.randn_like(x)

    def run():
        for leaf in (x, *block.parameters()):
            leaf.grad = None
        block(x).backward(cotangent)

    return median_seconds(run, seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("filter", nargs="?", default="")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on each figure")
    args = parser.parse_args()
    names = [(f"nonlocal/{kind}_{side}_train", kind, side)
             for kind in ("naive", "sdpa", "efficient") for side in (32, 64)]
    names = [entry for entry in names if wanted(args.filter, entry[0])]
    if not names:
        return
    torch = need_torch(args.threads)
    kinds = modules(torch)
    for name, kind, side in names:
        best = min(seconds_a_run(torch, kinds[kind], side, form, args.seconds)
                   for form in (torch.contiguous_format, torch.channels_last))
        emit(name, best * 1e6, "us")


if __name__ == "__main__":
    main()
