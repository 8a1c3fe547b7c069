"""Attention variants as the packages on PyPI compute them: outputs and gradients.

A package's projections of tokens become `Given`, so that q, k and v go in as they are. Cases whose
name starts with `other_` are those in which the package does something else, outputs alone.
"""
import torch
from torch import nn

from golden_io import generator, normal, record, save

B, H, D, E = 2, 2, 4, 3


class Given(nn.Module):
    """In the place of a projection: gives back what it was given, whatever comes in."""
    def __init__(self, *parts):
        super().__init__()
        # [B, H, N, D] -> [B, N, H D], the parts side by side
        self.value = torch.cat([p.transpose(1, 2).flatten(2) for p in parts], dim=-1)

    def forward(self, _):
        return self.value


def heads_of(x, heads):  # [B, N, H D] -> [B, H, N, D]
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def qkv(g, batch=B, heads=H, queries=8, keys=None, dim=D, width=D, kv_heads=None):
    keys, kv_heads = keys or queries, kv_heads or heads
    return {"q": normal(g, batch, heads, queries, dim), "k": normal(g, batch, kv_heads, keys, dim),
            "v": normal(g, batch, kv_heads, keys, width)}


def case(name, x, g, forward, module=None, fixed=None):
    """record() with a random cotangent, which is 0 on the query rows that `fixed` calls padding."""
    with torch.no_grad():
        cotangent = normal(g, *forward(**x).shape)
    if fixed and "query_end" in fixed:
        rows = torch.arange(cotangent.shape[2])
        cotangent = cotangent * (rows < fixed["query_end"][:, None])[:, None, :, None]
    return record(name, x, forward, cotangent, module, fixed)


def other(name, x, forward, fixed=None):
    with torch.no_grad():
        out = forward(**x)
    return {f"{name}.{n}": t for n, t in {**x, **(fixed or {}), "out": out}.items()}


def key_end(*ends, size):
    """Valid keys as heed has them, and as a keep-mask [B, S]."""
    end = torch.tensor(ends)
    return {"key_end": end}, torch.arange(size) < end[:, None]


def performer(seed=601, features=6):
    from performer_pytorch import FastAttention
    from performer_pytorch import performer_pytorch as p
    g = generator(seed)
    rows = normal(g, features, D).float()  # as heed holds them

    def attend(q, k, v, linear=p.linear_attention, eps=0.0):
        q = p.softmax_kernel(q, projection_matrix=rows, is_query=True, eps=eps)
        k = p.softmax_kernel(k, projection_matrix=rows, is_query=False, eps=eps)
        return linear(q, k, v)

    def causal(q, k, v, chunks=3):
        linear = lambda *x: p.causal_linear_attention_noncuda(*x, chunk_size=chunks, eps=0.0)
        return attend(q, k, v, linear)

    def package(q, k, v, causal=False):
        module = FastAttention(D, nb_features=features, causal=causal)
        module.projection_matrix.copy_(rows)
        return module(q, k, v)

    tensors = {"projection": rows}
    tensors |= case("plain", qkv(g, queries=5, keys=7, width=E), g, attend)
    tensors |= case("causal", qkv(g, width=E), g, causal)
    x = qkv(g, width=E)
    tensors |= other("other_eps", x, package)
    tensors |= other("other_eps_causal", x, lambda **x: package(causal=True, **x))
    later = {n: t.clone() for n, t in x.items()}
    later["k"][:, :, -1] *= 4  # rows before the last must not notice
    tensors |= other("other_eps_causal_later", later, lambda **x: package(causal=True, **x))
    save("peer_performer", tensors)


def nystrom_module(q, k, v, landmarks, iterations, mask=None, conv=None, padded=0):
    from nystrom_attention import NystromAttention
    heads, n = q.shape[1], q.shape[2]
    a = NystromAttention(heads * D, D, heads, landmarks, iterations, residual=conv is not None,
                         residual_conv_kernel=1 if conv is None else conv.shape[1])
    # The package pads its input in front, before it projects.
    front = [torch.nn.functional.pad(x, (0, 0, padded, 0)) for x in (q, k, v)]
    a.to_qkv, a.to_out = Given(*front), nn.Identity()
    if conv is not None:
        del a.res_conv.weight
        a.res_conv.weight = conv[:, None, :, None]
    return heads_of(a(torch.zeros(q.shape[0], n, heads * D), mask=mask), heads)


def nystrom(seed=602):
    g = generator(seed)
    tensors = {}

    def run(landmarks, iterations=6, **settings):
        return lambda q, k, v, **more: nystrom_module(q, k, v, landmarks, iterations,
                                                      **settings, **more)

    # One matrix in the whole call: the start of the pseudo-inverse is that matrix's own.
    tensors |= case("one", qkv(g, 1, 1, 12), g, run(4))
    tensors |= case("conv", qkv(g, 1, 1, 12) | {"conv": normal(g, 1, 3)}, g, run(4))
    # Long vectors, q near k: W is near I, and enough iterations forget their start.
    x = qkv(g, 2, 2, 12)
    x["k"] = x["q"] * 2 + x["k"] * 0.2
    x["q"] = x["q"] * 2
    tensors |= case("converged", x, g, run(4, 30))
    # 9 of 12 tokens are 3 of its 4 segments.
    x = {n: t[:1] for n, t in x.items()}
    valid, keep = key_end(9, size=12)
    tensors |= case("converged_padding", x, g, run(4, 30, mask=keep),
                    fixed=valid | {"query_end": valid["key_end"]})
    x = qkv(g, 2, 2, 12)
    tensors |= other("other_batch", x, run(4))
    tensors |= other("other_length", {n: t[:1, :1, :10] for n, t in x.items()}, run(4, padded=2))
    valid, keep = key_end(7, size=12)
    tensors |= other("other_padding", {n: t[:1, :1] for n, t in x.items()}, run(4, mask=keep),
                     fixed=valid | {"query_end": valid["key_end"]})
    save("peer_nystrom", tensors)


def linformer(seed=603, k=3, most=9):
    from linformer import LinformerSelfAttention
    g = generator(seed)
    tensors = {}
    matrices = [normal(g, most, k) for _ in range(2)]

    def module(**settings):
        a = LinformerSelfAttention(H * D, most, k, H, **settings)
        with torch.no_grad():
            a.proj_k.data = matrices[0].clone()
            if not a.share_kv:
                a.proj_v.data = matrices[1].clone()
        a.to_out = nn.Identity()
        a.to_q = a.to_k = a.to_v = nn.Identity()  # no parameters beside the two
        return a

    def attend(a):
        def forward(q, k, v=None):
            a.to_q, a.to_k = Given(q), Given(k)
            a.to_v = Given(k if v is None else v)
            n, s = q.shape[2], k.shape[2]
            return heads_of(a(torch.zeros(B, n, H * D), torch.zeros(B, s, H * D)), H)
        return forward

    a = module()
    tensors |= {"E": matrices[0].t(), "F": matrices[1].t()}
    tensors |= case("plain", qkv(g, queries=most), g, attend(a), a)
    tensors |= case("short", qkv(g, queries=5), g, attend(a), a)
    tensors |= case("cross", qkv(g, queries=4, keys=most), g, attend(a), a)
    one = module(one_kv_head=True)
    tensors |= case("one_kv_head", qkv(g, queries=6, kv_heads=1), g, attend(one), one)
    x = qkv(g, queries=7)
    del x["v"]
    shared = module(share_kv=True)
    tensors |= case("share", x, g, attend(shared), shared)
    # Fewer keys than k.
    tensors |= other("other_fewer_keys", qkv(g, queries=2), attend(a))
    save("peer_linformer", tensors)


def topk(seed=604):
    from x_transformers.attend import Attend
    g = generator(seed)
    tensors = {}

    def attend(k=3, mask=None, **settings):
        a = Attend(heads=H, sparse_topk=k, **settings)
        return lambda **x: a(**x, mask=mask)[0]

    tensors |= case("plain", qkv(g, queries=5, keys=9, width=E), g, attend())
    tensors |= case("causal", qkv(g, width=E), g, attend(causal=True))
    valid, keep = key_end(7, 2, size=9)  # 2: fewer than k
    tensors |= case("padding", qkv(g, queries=5, keys=9, width=E), g, attend(mask=keep),
                    fixed=valid)
    tied = qkv(g, queries=5, keys=9, width=E)
    tied["k"][:, :, 4:] = tied["k"][:, :, 3:4]
    tensors |= other("other_ties", tied, attend())
    tensors |= other("other_groups", qkv(g, heads=4, queries=5, kv_heads=2, width=E), attend())
    save("peer_topk", tensors)


def window(seed=605, size=4):
    from local_attention import LocalAttention
    g = generator(seed)
    tensors = {}

    def attend(mask=None, exact=True, **settings):
        a = LocalAttention(size, exact_windowsize=exact, **settings)
        return lambda **x: a(**x, mask=mask)

    tensors |= case("both", qkv(g, 1, queries=12), g, attend())
    tensors |= case("causal", qkv(g, 1, queries=12), g, attend(causal=True))
    tensors |= case("causal_wide", qkv(g, 1, queries=12), g, attend(causal=True, look_backward=2))
    valid, keep = key_end(12, 10, size=12)
    tensors |= case("padding", qkv(g, queries=12), g, attend(mask=keep), fixed=valid)
    tensors |= case("blocks", qkv(g, 1, queries=12), g, attend(exact=False))
    tensors |= case("blocks_causal", qkv(g, 1, queries=12), g, attend(exact=False, causal=True))
    tensors |= other("other_autopad", qkv(g, 1, queries=10), attend(autopad=True))
    save("peer_window", tensors)


def efficient(seed=606):
    from performer_pytorch import FastAttention
    g = generator(seed)

    def attend(q, k, v):
        context = k.softmax(dim=2).transpose(2, 3) @ v  # [B, H, D, E]
        return q.softmax(dim=3) @ context

    def scaling(q, k, v):
        n = k.shape[2]
        return (q / n ** 0.5) @ ((k / n ** 0.5).transpose(2, 3) @ v)

    tensors = case("plain", qkv(g, queries=5, keys=7, width=E), g, attend)
    tensors |= case("scaling", qkv(g, queries=5, keys=7, width=E), g, scaling)
    # performer-pytorch has it too; there the denominators are 1.
    package = FastAttention(D, no_projection=True)
    tensors |= case("package", qkv(g, queries=5, keys=7, width=E), g, package)
    causal = FastAttention(D, no_projection=True, causal=True)
    tensors |= other("other_causal", qkv(g, width=E), lambda **x: causal(**x))
    save("peer_efficient", tensors)


def dense(seed=607):
    from x_transformers.attend import Attend
    g = generator(seed)
    tensors = {}

    def attend(mask=None, flash=True, **settings):
        a = Attend(heads=H, flash=flash, **settings)
        return lambda **x: a(**x, mask=mask)[0]

    tensors |= case("plain", qkv(g, queries=5, keys=7, width=E), g, attend())
    tensors |= case("causal", qkv(g, queries=5, keys=7, width=E), g, attend(causal=True))
    valid, keep = key_end(7, 4, size=7)
    tensors |= case("padding", qkv(g, queries=5, keys=7, width=E), g,
                    attend(mask=keep[:, None, None]), fixed=valid)
    # The map in memory: its softmax is made in f32, whatever comes in.
    tensors |= other("other_f32", qkv(g, queries=5, keys=7, width=E), attend(flash=False))
    save("peer_dense", tensors)


def make():
    for variant in (performer, nystrom, linformer, topk, window, efficient, dense):
        variant()
