#!/usr/bin/env python3
"""Attention variants as packages on PyPI have them, forward plus backward, float32.

Batch 1, 8 heads of 64 channels, 2,048 tokens unless said; attention alone, without projections:
what a package makes of a token is given instead. `variants.py nystrom` times only figures with that
in their name.
"""
import argparse
import contextlib
import sys

from timing import emit, median_seconds, need_torch, wanted

HEADS, TOKENS, CHANNELS = 8, 2048, 64
WIDTH = HEADS * CHANNELS


def leaf(torch, *shape):
    return torch.randn(shape).requires_grad_()


def attention(torch, f, tokens=TOKENS):
    """A step of f(q, k, v) on views [B, H, T, D] of what projections give, fresh gradients."""
    leaves = [leaf(torch, 1, tokens, HEADS, CHANNELS) for _ in range(3)]
    heads = lambda: [x.transpose(1, 2) for x in leaves]
    cotangent = torch.randn(1, tokens, HEADS, CHANNELS).transpose(1, 2)

    def run():
        for x in leaves:
            x.grad = None
        f(*heads()).backward(cotangent)
    return run


def module(torch, a, inputs, leaves):
    """The same for a module whose projections of tokens were replaced: tokens are [B, T, H D]."""
    cotangent = torch.randn(1, TOKENS, WIDTH)

    def run():
        for x in leaves + list(a.parameters()):
            x.grad = None
        a(*inputs).backward(cotangent)
    return run


def given(torch, value):
    class Given(torch.nn.Module):
        def forward(self, _):
            return value
    return Given()


def performer(torch):
    from performer_pytorch import FastAttention
    yield "variant/performer_m256_train", lambda: attention(
        torch, FastAttention(CHANNELS, nb_features=256))
    # Its causal form holds a matrix [256, 64] for each token and head: at 2,048 it takes gigabytes.
    with contextlib.redirect_stdout(sys.stderr):  # it tells of the CUDA code that it lacks
        causal = FastAttention(CHANNELS, nb_features=256, causal=True)
    yield "variant/performer_m256_causal_t512_train", lambda: attention(torch, causal, 512)


def nystrom(torch):
    from nystrom_attention import NystromAttention

    def step(landmarks):
        a = NystromAttention(WIDTH, CHANNELS, HEADS, landmarks, residual=False)
        qkv = leaf(torch, 1, TOKENS, 3 * WIDTH)
        a.to_qkv, a.to_out = given(torch, qkv), torch.nn.Identity()
        return module(torch, a, [torch.zeros(1, TOKENS, WIDTH)], [qkv])
    for landmarks in 64, 256:
        yield f"variant/nystrom_m{landmarks}_train", lambda m=landmarks: step(m)


def linformer(torch):
    from linformer import LinformerSelfAttention

    def step():
        a = LinformerSelfAttention(WIDTH, TOKENS, k=256, heads=HEADS)
        leaves = [leaf(torch, 1, TOKENS, WIDTH) for _ in range(3)]
        a.to_q, a.to_k, a.to_v = (given(torch, x) for x in leaves)
        a.to_out = torch.nn.Identity()
        return module(torch, a, [torch.zeros(1, TOKENS, WIDTH)], leaves)
    yield "variant/linformer_k256_train", step


def x_transformers(torch):
    from x_transformers.attend import Attend
    for name, settings in (("variant/dense_train", dict(flash=True)),
                           ("variant/topk_k32_train", dict(sparse_topk=32))):
        a = Attend(heads=HEADS, **settings)
        yield name, lambda a=a: attention(torch, lambda q, k, v: a(q, k, v)[0])


def window(torch):
    from local_attention import LocalAttention
    for name, causal in ("variant/window_w128_train", False), \
                        ("variant/window_w128_causal_train", True):
        yield name, lambda causal=causal: attention(
            torch, LocalAttention(128, causal=causal, exact_windowsize=True))


def efficient(torch):
    """Written plainly: queries over channels, keys over positions (arXiv 1812.01243)."""
    def attend(q, k, v):
        return q.softmax(dim=3) @ (k.softmax(dim=2).transpose(2, 3) @ v)
    yield "variant/efficient_train", lambda: attention(torch, attend)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("filter", nargs="?", default="")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on each figure")
    args = parser.parse_args()

    torch = need_torch(args.threads)
    torch.manual_seed(1)
    for family in (x_transformers, performer, nystrom, linformer, efficient, window):
        try:
            for name, step in family(torch):
                if wanted(args.filter, name):
                    emit(name, median_seconds(step(), args.seconds) * 1e6, "us")
        except ImportError as e:
            print(f"{family.__name__} is left out: {e}", flush=True)


if __name__ == "__main__":
    main()
