#!/usr/bin/env python3
"""Attention variants as packages on PyPI have them, forward plus backward, float32.

Batch 1, 8 heads of 64 channels, 2,048 tokens unless said; attention alone, without projections:
what a package makes of a token is given instead. `variants.py nystrom` times only figures with that
in their name.
"""
import contextlib
import sys

from timing import time_families

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
    def step(tokens, causal):
        from performer_pytorch import FastAttention
        with contextlib.redirect_stdout(sys.stderr):  # it tells of the CUDA code that it lacks
            a = FastAttention(CHANNELS, nb_features=256, causal=causal)
        return attention(torch, a, tokens)
    yield "variant/performer_m256_train", lambda: step(TOKENS, False)
    # Its causal form holds a matrix [256, 64] for each token and head: at 2,048 it takes gigabytes.
    yield "variant/performer_m256_causal_t512_train", lambda: step(512, True)


def nystrom(torch):
    def step(landmarks):
        from nystrom_attention import NystromAttention
        a = NystromAttention(WIDTH, CHANNELS, HEADS, landmarks, residual=False)
        qkv = leaf(torch, 1, TOKENS, 3 * WIDTH)
        a.to_qkv, a.to_out = given(torch, qkv), torch.nn.Identity()
        return module(torch, a, [torch.zeros(1, TOKENS, WIDTH)], [qkv])
    for landmarks in 64, 256:
        yield f"variant/nystrom_m{landmarks}_train", lambda m=landmarks: step(m)


def linformer(torch):
    def step():
        from linformer import LinformerSelfAttention
        a = LinformerSelfAttention(WIDTH, TOKENS, k=256, heads=HEADS)
        leaves = [leaf(torch, 1, TOKENS, WIDTH) for _ in range(3)]
        a.to_q, a.to_k, a.to_v = (given(torch, x) for x in leaves)
        a.to_out = torch.nn.Identity()
        return module(torch, a, [torch.zeros(1, TOKENS, WIDTH)], leaves)
    yield "variant/linformer_k256_train", step


def x_transformers(torch):
    def step(**settings):
        from x_transformers.attend import Attend
        a = Attend(heads=HEADS, **settings)
        return attention(torch, lambda q, k, v: a(q, k, v)[0])
    yield "variant/dense_train", lambda: step(flash=True)
    yield "variant/topk_k32_train", lambda: step(sparse_topk=32)


def window(torch):
    def step(causal):
        from local_attention import LocalAttention
        return attention(torch, LocalAttention(128, causal=causal, exact_windowsize=True))
    yield "variant/window_w128_train", lambda: step(False)
    yield "variant/window_w128_causal_train", lambda: step(True)


def efficient(torch):
    """Written plainly: queries over channels, keys over positions (arXiv 1812.01243)."""
    def attend(q, k, v):
        return q.softmax(dim=3) @ (k.softmax(dim=2).transpose(2, 3) @ v)
    yield "variant/efficient_train", lambda: attention(torch, attend)


if __name__ == "__main__":
    time_families(__doc__.splitlines()[0],
                  (x_transformers, performer, nystrom, linformer, efficient, window))
