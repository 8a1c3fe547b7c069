#!/usr/bin/env python3
"""One training step of a vision transformer in eager PyTorch: the twin of heed's.

128 pictures of 1 x 28 x 28 in patches of 4, a class token, learned positions, pre-norm layers of 4
heads with gelu and a feed-forward network of 4 x width, AdamW, clipping at 1. Dropout acts on
tokens, feed-forward, residuals and attention weights. The pictures are tried in NCHW and in
channels_last, the better one counts.
"""
import argparse

from timing import emit, median_seconds, need_torch, peak_mebibytes, wanted

BATCH, SIDE, PATCH, CLASSES, HEADS = 128, 28, 4, 10, 4
MEMORY = "memory/vit"  # of step/vit
SIZES = {"step/vit": (128, 6, 0.1), "step/vit_small": (64, 4, 0.0)}  # width, layers, dropout


def build(torch, width, layers, dropout):
    nn = torch.nn

    class ViT(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv_proj = nn.Conv2d(1, width, PATCH, PATCH)
            self.class_token = nn.Parameter(torch.zeros(1, 1, width))
            tokens = (SIDE // PATCH) ** 2 + 1
            self.pos_embedding = nn.Parameter(torch.randn(1, tokens, width) * 0.02)
            self.dropout = nn.Dropout(dropout)
            layer = nn.TransformerEncoderLayer(width, HEADS, 4 * width, dropout, "gelu",
                                               layer_norm_eps=1e-6, batch_first=True,
                                               norm_first=True)
            self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width, 1e-6),
                                                 enable_nested_tensor=False)
            self.head = nn.Linear(width, CLASSES)

        def forward(self, images):
            x = self.conv_proj(images).flatten(2).transpose(1, 2)              # [B, N, d]
            x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1)  # [B, T, d]
            return self.head(self.encoder(self.dropout(x + self.pos_embedding))[:, 0])

    return ViT().train()


def training(torch, size, memory_format):
    """The step, and the number of parameters."""
    torch.manual_seed(1)
    model = build(torch, *size).to(memory_format=memory_format)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    images = torch.randn(BATCH, 1, SIDE, SIDE).contiguous(memory_format=memory_format)
    labels = torch.arange(BATCH) % CLASSES

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        loss.item()

    return step, sum(p.numel() for p in model.parameters())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("filter", nargs="?", default="", help="of the figures' names")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10, help="timed steps (the median counts)")
    args = parser.parse_args()
    chosen = {name: size for name, size in SIZES.items() if wanted(args.filter, name)}
    memory = wanted(args.filter, MEMORY)
    if not chosen and not memory:
        return
    torch = need_torch(args.threads)
    forms = (torch.contiguous_format, torch.channels_last)
    if memory:
        size = SIZES["step/vit"]
        emit(MEMORY, min(peak_mebibytes(lambda: training(torch, size, form)[0]) for form in forms),
             "MiB")
    for name, size in chosen.items():
        steps = [training(torch, size, form) for form in forms]
        seconds = min(median_seconds(step, seconds=0, least=args.steps) for step, _ in steps)
        emit(f"{name}_parameters", steps[0][1], "parameters")
        emit(name, BATCH / seconds, "images/s")
        emit(f"{name}_time", seconds * 1e3, "ms")


if __name__ == "__main__":
    main()
