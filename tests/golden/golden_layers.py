"""torch.nn.Transformer{Encoder,Decoder}{Layer,}: outputs and gradients, dropout 0."""
import torch
from torch import nn

from golden_io import (causal_mask, generator, normal, params, randomise, record, save,
                       valid_range)

B, T, S, E, H, FFN = 2, 5, 7, 8, 2, 16


def settings(pre, activation):
    return dict(d_model=E, nhead=H, dim_feedforward=FFN, dropout=0.0, activation=activation,
                batch_first=True, norm_first=pre)


def encoder_cases(name, g, module, mask_name):
    randomise(module, g)
    x, cotangent = normal(g, B, T, E), normal(g, B, T, E)
    tensors = params(module)
    tensors |= record("plain", {"x": x}, lambda x: module(x), cotangent, module)

    hidden = {mask_name: causal_mask(T)}
    tensors |= record("causal", {"x": x}, lambda x: module(x, **hidden), cotangent, module)

    begin, end, ignored = valid_range([0, 1], [4, 5], T)
    fixed = {"key_begin": begin, "key_end": end, "key_padding_mask": ignored}
    tensors |= record("padding", {"x": x}, lambda x: module(x, src_key_padding_mask=ignored),
                      cotangent * ~ignored[:, :, None], module, fixed)
    save(name, tensors)


def decoder_cases(name, g, module):
    randomise(module, g)
    inputs = {"x": normal(g, B, T, E), "memory": normal(g, B, S, E)}
    cotangent = normal(g, B, T, E)
    hidden = causal_mask(T)
    tensors = params(module)
    tensors |= record("causal", inputs, lambda x, memory: module(x, memory, tgt_mask=hidden),
                      cotangent, module)

    begin, end, ignored = valid_range([0, 0], [5, 3], T)
    m_begin, m_end, m_ignored = valid_range([0, 2], [4, 7], S)
    fixed = {"key_begin": begin, "key_end": end, "key_padding_mask": ignored,
             "memory_begin": m_begin, "memory_end": m_end, "memory_padding_mask": m_ignored}
    tensors |= record("padding", inputs,
                      lambda x, memory: module(x, memory, tgt_mask=hidden,
                                               tgt_key_padding_mask=ignored,
                                               memory_key_padding_mask=m_ignored),
                      cotangent * ~ignored[:, :, None], module, fixed)
    save(name, tensors)


def state_dicts():
    """Plain float32 state dicts, as a PyTorch user saves them: no prefix, nothing else inside."""
    g = generator(250)
    layer = settings(False, "relu")
    modules = {
        "mha": nn.MultiheadAttention(E, H, batch_first=True),
        "encoder": nn.TransformerEncoder(nn.TransformerEncoderLayer(**layer), 2,
                                         norm=nn.LayerNorm(E)),
        "decoder": nn.TransformerDecoder(nn.TransformerDecoderLayer(**layer), 2,
                                         norm=nn.LayerNorm(E)),
    }
    for name, module in modules.items():
        save(f"state_dict_{name}", randomise(module, g).float().state_dict())


def make():
    for order, pre in (("pre", True), ("post", False)):
        for activation in ("relu", "gelu"):
            g = generator(201 + 2 * pre + (activation == "gelu"))
            layer = nn.TransformerEncoderLayer(**settings(pre, activation))
            encoder_cases(f"encoder_layer_{order}_{activation}", g, layer, "src_mask")

        layer = nn.TransformerDecoderLayer(**settings(pre, "relu"))
        decoder_cases(f"decoder_layer_{order}_relu", generator(211 + pre), layer)

        layer = nn.TransformerEncoderLayer(**settings(pre, "relu"))
        stack = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(E), enable_nested_tensor=False)
        encoder_cases(f"encoder_stack_{order}", generator(221 + pre), stack, "mask")

        layer = nn.TransformerDecoderLayer(**settings(pre, "relu"))
        stack = nn.TransformerDecoder(layer, 2, norm=nn.LayerNorm(E))
        decoder_cases(f"decoder_stack_{order}", generator(231 + pre), stack)
    state_dicts()
