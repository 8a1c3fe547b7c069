#!/usr/bin/env python3
"""One training step of the translation Transformer in eager PyTorch: the twin of heed's.

4 + 4 layers, d_model 128, feed-forward 256, 4 heads; one 9000 x 128 matrix for source, target and
output; sinusoidal positions, embeddings times sqrt(d); dropout 0.1 on embeddings, feed-forward,
residuals and attention weights; 160 pairs of 25 tokens (no padding); label smoothing 0.1, clipping
at 1, Adam.
"""
import argparse
import math
import sys

from timing import emit, median_seconds, need_torch, wanted

VOCAB, DIM, FFN, HEADS, LAYERS = 9000, 128, 256, 4, 4
PAIRS, LENGTH, DROPOUT = 160, 25, 0.1
FIGURES = ["step/translate", "step/translate_time", "step/translate_parameters"]


def positions(torch, length, dim):
    rate = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
    angle = torch.arange(length)[:, None] * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)  # [T, D]


def build(torch, pre_norm):
    nn = torch.nn
    layer = dict(d_model=DIM, nhead=HEADS, dim_feedforward=FFN, dropout=DROPOUT,
                 batch_first=True, norm_first=pre_norm)
    norm = lambda: nn.LayerNorm(DIM) if pre_norm else None  # 2017: no norm after the last layer

    class Translator(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(VOCAB, DIM)
            nn.init.normal_(self.embedding.weight, std=DIM ** -0.5)
            self.encoder = nn.TransformerEncoder(
                nn.TransformerEncoderLayer(**layer), LAYERS, norm(), enable_nested_tensor=False)
            self.decoder = nn.TransformerDecoder(
                nn.TransformerDecoderLayer(**layer), LAYERS, norm())
            self.dropout = nn.Dropout(DROPOUT)
            self.register_buffer("positions", positions(torch, LENGTH, DIM))
            self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(LENGTH))

        def embed(self, ids):
            return self.dropout(self.embedding(ids) * math.sqrt(DIM) + self.positions)

        def forward(self, source, target):
            memory = self.encoder(self.embed(source))
            out = self.decoder(self.embed(target), memory, tgt_mask=self.mask, tgt_is_causal=True)
            return nn.functional.linear(out, self.embedding.weight)  # [B, T, V]

    return Translator()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("filter", nargs="?", default="", help="of the figures' names")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10, help="timed steps (the median counts)")
    parser.add_argument("--pre-norm", action="store_true", help="default: post-norm, as in 2017")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if not any(wanted(args.filter, name) for name in FIGURES):
        return

    torch = need_torch(args.threads)
    torch.manual_seed(args.seed)
    model = build(torch, args.pre_norm).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, betas=(0.9, 0.98), eps=1e-9)
    source, target = torch.randint(0, VOCAB, (2, PAIRS, LENGTH))
    labels = torch.randint(0, VOCAB, (PAIRS * LENGTH,))
    losses = []

    def step():
        optimizer.zero_grad(set_to_none=True)
        logits = model(source, target)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels, label_smoothing=0.1)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())

    seconds = median_seconds(step, seconds=0, least=args.steps)
    count = sum(p.numel() for p in model.parameters())
    print(f"torch {torch.__version__}, {args.threads} threads, "
          f"loss {losses[0]:.3f} -> {losses[-1]:.3f}", file=sys.stderr)
    emit("step/translate_parameters", count, "parameters")
    emit("step/translate", PAIRS * LENGTH / seconds, "tokens/s")
    emit("step/translate_time", seconds * 1e3, "ms")


if __name__ == "__main__":
    main()
