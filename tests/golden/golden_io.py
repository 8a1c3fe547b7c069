"""What every golden module needs: seeded numbers, one way to record gradients, one way to save."""
import json
import pathlib

import numpy as np
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent


def generator(seed):
    return np.random.Generator(np.random.PCG64(seed))


def normal(g, *shape, scale=1.0, shift=0.0):
    return torch.from_numpy(np.asarray(g.standard_normal(shape) * scale + shift, dtype=np.float64))


def randomise(module, g):
    """Fills every parameter, biases and norm gains too, so that no gradient is trivially right.

    train(): in eval mode PyTorch takes a fused path of its own, which is not the reference.
    """
    with torch.no_grad():
        for name, p in module.named_parameters():
            gain = p.dim() == 1 and name.endswith("weight")
            p.copy_(normal(g, *p.shape, scale=0.4, shift=1.0 if gain else 0.0))
    return module.double().train()


def randomise_statistics(module, g):
    """The running statistics of batch norms too."""
    with torch.no_grad():
        for name, b in module.named_buffers():
            if name.endswith("running_mean"):
                b.copy_(normal(g, *b.shape, scale=0.3))
            elif name.endswith("running_var"):
                b.copy_(torch.exp(normal(g, *b.shape, scale=0.3)))
            else:
                b.fill_(7)
    return module


def params(module):
    return {f"param.{n}": p for n, p in module.named_parameters()}


def record(case, inputs, forward, cotangent, module=None, fixed=None):
    """Runs forward(**inputs) and returns the tensors of one case, gradients included.

    `cotangent` is the gradient fed into backward: a tensor, or a function of the output.
    `fixed` holds what is saved with the case but has no gradient (masks, labels).
    """
    leaves = {n: t.clone().requires_grad_() for n, t in inputs.items()}
    if module is not None:
        module.zero_grad(set_to_none=True)
    out = forward(**leaves)
    seed = cotangent(out) if callable(cotangent) else cotangent
    out.backward(seed)
    tensors = {**inputs, **(fixed or {}), "out": out, "cotangent": seed}
    tensors |= {f"grad.{n}": t.grad for n, t in leaves.items()}
    if module is not None:
        tensors |= {f"grad.param.{n}": p.grad for n, p in module.named_parameters()}
    return {f"{case}.{n}": t for n, t in tensors.items()}


def valid_range(begin, end, size):
    """Padding as heed has it ([begin, end) per row) and as PyTorch has it (True = ignored)."""
    begin, end = torch.tensor(begin), torch.tensor(end)
    j = torch.arange(size)
    ignored = (j < begin[:, None]) | (j >= end[:, None])
    return begin, end, ignored


def causal_mask(size):
    """PyTorch's sense: True = not visible."""
    return torch.ones(size, size, dtype=torch.bool).triu(1)


def save(name, tensors):
    # clone: transposed gradients and shared storage become plain row-major copies
    flat = {n: t.detach().clone(memory_format=torch.contiguous_format) for n, t in tensors.items()}
    for n, t in flat.items():
        if t.is_floating_point() and not torch.isfinite(t).all():
            raise ValueError(f"{name}: {n} is not finite")
    path = HERE / f"{name}.safetensors"
    save_file(flat, path)
    path.chmod(0o644)  # the safetensors package writes private files


def save_json(name, value):
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8")
