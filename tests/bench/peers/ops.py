#!/usr/bin/env python3
"""Single ops in eager PyTorch, float32: one JSON line a figure.

`ops.py softmax` times only figures with "softmax" in their name. `_train` is forward plus backward.
"""
from timing import time_families


def forward(torch, f, *shapes):
    """A step of f on random tensors that need no gradient."""
    inputs = [torch.randn(shape) for shape in shapes]
    return lambda: f(*inputs)


def forward_backward(torch, f, *shapes):
    """A step as in training: forward, then backward from a given cotangent, fresh gradients."""
    leaves = [torch.randn(shape).requires_grad_() for shape in shapes]
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
        yield (f"op/matmul_{name}", lambda m=m, k=k, n=n:
               forward(torch, torch.matmul, (m, k), (k, n)))
    batch = (640, 32, 32)
    yield "op/matmul_640x32x32x32_nn", lambda: forward(torch, torch.matmul, batch, batch)
    yield ("op/matmul_640x32x32x32_nt", lambda:
           forward(torch, lambda a, b: a @ b.transpose(1, 2), batch, batch))


def rows(torch):
    F = torch.nn.functional
    softmax = lambda x: F.softmax(x, dim=-1)
    norm = lambda x, w, b: F.layer_norm(x, (512,), w, b)
    square, x, row = (2048, 2048), (4096, 512), (512,)
    yield "op/softmax_2048x2048", lambda: forward(torch, softmax, square)
    yield "op/layer_norm_4096x512", lambda: forward(torch, norm, x, row, row)
    yield "op/exp_1000000", lambda: forward(torch, torch.exp, (1_000_000,))
    yield "op/softmax_2048x2048_train", lambda: forward_backward(torch, softmax, square)
    yield "op/layer_norm_4096x512_train", lambda: forward_backward(torch, norm, x, row, row)
    yield "op/cumsum_2048x2048", lambda: forward(torch, lambda x: x.cumsum(-1), square)
    yield "op/cumsum_outer_2048x2048", lambda: forward(torch, lambda x: x.cumsum(0), square)
    yield ("op/dropout_4096x512_train", lambda:
           forward_backward(torch, lambda x: F.dropout(x, 0.1), x))


def maps(torch):
    F = torch.nn.functional
    x, row = (128, 16, 28, 28), (16,)
    batch = lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True)
    yield "op/batch_norm_128x16x28x28_train", lambda: forward_backward(torch, batch, x, row, row)
    yield ("op/batch_norm_add_relu_128x16x28x28_train", lambda: forward_backward(
        torch, lambda x, w, b, r: F.relu(batch(x, w, b) + r), x, row, row, x))
    yield ("op/group_norm_128x16x28x28_train", lambda: forward_backward(
        torch, lambda x, w, b: F.group_norm(x, 4, w, b), x, row, row))


def losses(torch):
    F = torch.nn.functional
    labels = torch.randint(0, 9000, (4000,))
    loss = lambda x, w: F.cross_entropy(F.linear(x, w), labels)
    yield ("op/linear_cross_entropy_4000x128x9000_train", lambda:
           forward_backward(torch, loss, (4000, 128), (9000, 128)))


def attention(torch):
    sdpa = torch.nn.functional.scaled_dot_product_attention
    for name, shape, causal in (("b1h8t2048d64", (1, 8, 2048, 64), False),
                                ("b1h8t2048d64_causal", (1, 8, 2048, 64), True),
                                ("b8h8t512d64_causal", (8, 8, 512, 64), True),
                                ("b8h8t256d64_causal", (8, 8, 256, 64), True),
                                ("b8h8t128d64_causal", (8, 8, 128, 64), True),
                                ("b32h4t32d64", (32, 4, 32, 64), False),
                                ("b32h4t32d32", (32, 4, 32, 32), False)):
        f = lambda q, k, v, causal=causal: sdpa(q, k, v, is_causal=causal)
        yield (f"op/attention_{name}_train", lambda f=f, shape=shape:
               forward_backward(torch, f, shape, shape, shape))


def chain(torch):
    """1,000 ops on one element: the price of an op when there is nothing to compute."""
    def thousand(x):
        for _ in range(500):
            x = x * 1.001 + 0.001
        return x
    yield "op/chain_1000_one_element_train", lambda: forward_backward(torch, thousand, (1,))


if __name__ == "__main__":
    time_families(__doc__.splitlines()[0], (matmuls, rows, maps, losses, attention, chain))
