"""torch.nn.MultiheadAttention: outputs, weights and gradients."""
import torch
from torch import nn

from golden_io import causal_mask, generator, normal, params, randomise, record, save, valid_range

B, T, S, E, H = 2, 5, 7, 8, 2


def attention_case(case, mha, inputs, cotangent, fixed=None, **masks):
    """One call: record()'s tensors plus the attention weights, per head and averaged."""
    def attend(need_mean, **x):
        q = x.get("query", x.get("x"))
        return mha(q, x.get("key", q), x.get("value", q), average_attn_weights=need_mean, **masks)

    tensors = record(case, inputs, lambda **x: attend(False, **x)[0], cotangent, mha, fixed)
    with torch.no_grad():
        tensors[f"{case}.weights_heads"] = attend(False, **inputs)[1]
        tensors[f"{case}.weights_mean"] = attend(True, **inputs)[1]
    return tensors


def self_attention(name, seed, bias):
    g = generator(seed)
    mha = randomise(nn.MultiheadAttention(E, H, bias=bias, batch_first=True), g)
    x, cotangent, added = normal(g, B, T, E), normal(g, B, T, E), normal(g, T, T)
    tensors = params(mha)
    tensors |= attention_case("plain", mha, {"x": x}, cotangent)
    tensors |= attention_case("causal", mha, {"x": x}, cotangent, attn_mask=causal_mask(T))
    tensors |= attention_case("bias", mha, {"x": x}, cotangent, {"attn_bias": added},
                              attn_mask=added)
    ranges = {"padding": ([0, 1], [4, 5]), "causal_padding": ([0, 0], [5, 3])}
    for case, (begin, end) in ranges.items():
        begin, end, ignored = valid_range(begin, end, T)
        seen = cotangent * ~ignored[:, :, None]  # padded rows have no say in any gradient
        mask = causal_mask(T) if case == "causal_padding" else None
        fixed = {"key_begin": begin, "key_end": end, "key_padding_mask": ignored}
        tensors |= attention_case(case, mha, {"x": x}, seen, fixed, key_padding_mask=ignored,
                                  attn_mask=mask)
    save(name, tensors)


def cross_attention(name, seed, **dims):
    g = generator(seed)
    mha = randomise(nn.MultiheadAttention(E, H, batch_first=True, **dims), g)
    inputs = {"query": normal(g, B, T, E), "key": normal(g, B, S, dims.get("kdim", E)),
              "value": normal(g, B, S, dims.get("vdim", E))}
    cotangent = normal(g, B, T, E)
    begin, end, ignored = valid_range([0, 2], [4, 7], S)
    fixed = {"key_begin": begin, "key_end": end, "key_padding_mask": ignored}
    tensors = params(mha)
    tensors |= attention_case("plain", mha, inputs, cotangent)
    tensors |= attention_case("padding", mha, inputs, cotangent, fixed, key_padding_mask=ignored)
    save(name, tensors)


def make():
    self_attention("mha_self", 101, bias=True)
    self_attention("mha_self_nobias", 102, bias=False)
    cross_attention("mha_cross", 103)
    cross_attention("mha_cross_kdim", 104, kdim=6, vdim=10)
