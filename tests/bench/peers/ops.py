#!/usr/bin/env python3
"""Single ops in eager PyTorch, float32: one JSON line a figure.

`ops.py softmax` times only figures with "softmax" in their name. `_train` is forward plus backward.
"""
import argparse

from timing import emit, median_seconds, need_torch, wanted


def forward_backward(torch, f, inputs):
    """A step as in training: forward, then backward from a given cotangent, fresh gradients."""
    leaves = [t.requires_grad_() for t in inputs]
    with torch.no_grad():
        cotangent = torch.randn_like(f(*leaves))

    def run():
        for t in leaves:
            t.grad = None
        f(*leaves).backward(cotangent)
    return run


def matmuls(torch):
    for name, (m, k, n) in {"512": (512,) * 3, "1024": (1024,) * 3,
                            "4000x128x128": (4000, 128, 128)}.items():
        a, b = torch.randn(m, k), torch.randn(k, n)
        yield f"op/matmul_{name}", lambda: a @ b
    a, b = torch.randn(640, 32, 32), torch.randn(640, 32, 32)
    yield "op/matmul_640x32x32x32_nn", lambda: a @ b
    yield "op/matmul_640x32x32x32_nt", lambda: a @ b.transpose(1, 2)


def rows(torch):
    F = torch.nn.functional
    square, x = torch.randn(2048, 2048), torch.randn(4096, 512)
    weight, bias, million = torch.randn(512), torch.randn(512), torch.randn(1_000_000)
    yield "op/softmax_2048x2048", lambda: F.softmax(square, dim=-1)
    yield "op/layer_norm_4096x512", lambda: F.layer_norm(x, (512,), weight, bias)
    yield "op/exp_1000000", lambda: torch.exp(million)
    yield ("op/softmax_2048x2048_train",
           forward_backward(torch, lambda x: F.softmax(x, dim=-1), [square.clone()]))
    yield ("op/layer_norm_4096x512_train",
           forward_backward(torch, lambda x, w, b: F.layer_norm(x, (512,), w, b),
                            [x.clone(), weight.clone(), bias.clone()]))
    yield ("op/dropout_4096x512_train",
           forward_backward(torch, lambda x: F.dropout(x, 0.1), [x.clone()]))


def losses(torch):
    F = torch.nn.functional
    x, weight = torch.randn(4000, 128), torch.randn(9000, 128) * 0.05
    labels = torch.randint(0, 9000, (4000,))
    yield ("op/linear_cross_entropy_4000x128x9000_train",
           forward_backward(torch, lambda x, w: F.cross_entropy(F.linear(x, w), labels),
                            [x, weight]))


def attention(torch):
    sdpa = torch.nn.functional.scaled_dot_product_attention
    for name, shape, causal in (("b1h8t2048d64", (1, 8, 2048, 64), False),
                                ("b1h8t2048d64_causal", (1, 8, 2048, 64), True),
                                ("b8h8t512d64_causal", (8, 8, 512, 64), True),
                                ("b32h4t32d32", (32, 4, 32, 32), False)):
        qkv = [torch.randn(shape) for _ in range(3)]
        yield (f"op/attention_{name}_train",
               forward_backward(torch, lambda q, k, v: sdpa(q, k, v, is_causal=causal), qkv))


def chain(torch):
    """1,000 ops on one element: the price of an op when there is nothing to compute."""
    def thousand(x):
        for _ in range(500):
            x = x * 1.001 + 0.001
        return x
    yield "op/chain_1000_one_element_train", forward_backward(torch, thousand, [torch.ones(1)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("filter", nargs="?", default="")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on each figure")
    args = parser.parse_args()

    torch = need_torch(args.threads)
    torch.manual_seed(1)
    for family in (matmuls, rows, losses, attention, chain):
        for name, run in family(torch):
            if wanted(args.filter, name):
                emit(name, median_seconds(run, args.seconds) * 1e6, "us")


if __name__ == "__main__":
    main()
