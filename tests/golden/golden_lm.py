"""A decoder-only language model in GPT-2's layout, in plain PyTorch: logits, loss, gradients."""
import torch
import torch.nn.functional as F
from torch import nn

from golden_io import generator, params, randomise, save

VOCAB, CONTEXT, E, H, LAYERS = 17, 8, 8, 2, 2
B, T = 2, 6


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(E, 3 * E), nn.Linear(E, E)

    def forward(self, x):
        split = lambda t: t.view(*t.shape[:2], H, E // H).transpose(1, 2)  # [B, H, T, D]
        q, k, v = map(split, self.c_attn(x).chunk(3, dim=-1))
        scores = q @ k.transpose(-1, -2) / (E // H) ** 0.5
        hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        weights = scores.masked_fill(hidden, -torch.inf).softmax(-1)
        return self.c_proj((weights @ v).transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.c_fc, self.c_proj = nn.Linear(E, 4 * E), nn.Linear(4 * E, E)

    def forward(self, x):
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(E), Attention()
        self.ln_2, self.mlp = nn.LayerNorm(E), Mlp()

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Gpt2(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(VOCAB, E), nn.Embedding(CONTEXT, E)
        self.h = nn.ModuleList(Block() for _ in range(LAYERS))
        self.ln_f = nn.LayerNorm(E)

    def forward(self, ids):
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.h:
            x = block(x)
        return self.ln_f(x) @ self.wte.weight.T  # the head is the token embedding


def make():
    g = generator(501)
    model = randomise(Gpt2(), g)
    ids = torch.from_numpy(g.integers(0, VOCAB, (B, T + 1)))
    logits = model(ids[:, :-1])
    loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    grads = {f"grad.param.{n}": p.grad for n, p in model.named_parameters()}
    save("gpt2_tiny", {**params(model), **grads, "ids": ids[:, :-1], "targets": ids[:, 1:],
                       "logits": logits, "loss": loss})
