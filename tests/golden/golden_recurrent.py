"""torch.nn.GRU and LSTM, one layer, one and two directions: outputs, states and gradients."""
import torch
from torch import nn

from golden_io import generator, normal, params, randomise, save

B, T, IN, H = 3, 5, 4, 6
LENGTHS = [5, 2, 4]


def make():
    for kind in (nn.GRU, nn.LSTM):
        for directions in (1, 2):
            name = f"{kind.__name__.lower()}_{directions}"
            g = generator(100 + directions)
            module = randomise(kind(IN, H, batch_first=True, bidirectional=directions == 2), g)
            x = normal(g, B, T, IN).requires_grad_()
            cotangent = normal(g, B, T, directions * H)
            tensors = {n: p.detach().clone() for n, p in params(module).items()}
            for case in ("plain", "padded"):
                module.zero_grad()
                x.grad = None
                given = x
                if case == "padded":
                    given = nn.utils.rnn.pack_padded_sequence(x, torch.tensor(LENGTHS), True,
                                                              enforce_sorted=False)
                out, state = module(given)
                if case == "padded":
                    out, _ = nn.utils.rnn.pad_packed_sequence(out, True)
                h, c = state if kind is nn.LSTM else (state, None)
                (out * cotangent).sum().backward()
                tensors |= {f"{case}.out": out.detach(),
                            f"{case}.h": h.detach().transpose(0, 1).reshape(B, -1),
                            f"{case}.grad.x": x.grad.clone()}
                if c is not None:
                    tensors[f"{case}.c"] = c.detach().transpose(0, 1).reshape(B, -1)
                for key, p in module.named_parameters():
                    tensors[f"{case}.grad.{key}"] = p.grad.clone()
            tensors |= {"x": x.detach(), "cotangent": cotangent,
                        "lengths": torch.tensor(LENGTHS)}
            save(f"recurrent_{name}", tensors)
