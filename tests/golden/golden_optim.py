"""Optimizer trajectories on given gradients, and clipping by global norm."""
import torch

from golden_io import generator, normal, save, save_json

STEPS = 5
SHAPES = {"a": (3, 2), "b": (4,), "c": (2, 2)}
GROUPS = (("a", "b"), ("c",))

# class, options of group 0, options of group 1
CASES = {
    "sgd": ("SGD", {"lr": 0.1}, {"lr": 0.05}),
    "sgd_momentum": ("SGD", {"lr": 0.1, "momentum": 0.9},
                     {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.02}),
    "sgd_nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
                     {"lr": 0.05, "momentum": 0.8, "nesterov": True}),
    "adam": ("Adam", {"lr": 0.01, "betas": [0.9, 0.98], "eps": 1e-9},
             {"lr": 0.03, "betas": [0.8, 0.999], "eps": 1e-8}),
    "adam_l2": ("Adam", {"lr": 0.01, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.1},
                {"lr": 0.03, "betas": [0.9, 0.999], "eps": 1e-8}),
    "adamw": ("AdamW", {"lr": 0.01, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.1},
              {"lr": 0.03, "betas": [0.9, 0.98], "eps": 1e-9, "weight_decay": 0.0}),
}


def trajectory(name, cls, first, second):
    g = generator(401)  # the same start and gradients in every case
    p = {n: normal(g, *shape).requires_grad_() for n, shape in SHAPES.items()}
    tensors = {f"init.{n}": t.detach().clone() for n, t in p.items()}
    groups = [{"params": [p[n] for n in names], **{k: v for k, v in options.items()}}
              for names, options in zip(GROUPS, (first, second))]
    optimizer = getattr(torch.optim, cls)(groups, lr=1.0)
    for step in range(1, STEPS + 1):
        for n, t in p.items():
            t.grad = normal(g, *t.shape)
            tensors[f"step{step}.grad.{n}"] = t.grad.clone()
        optimizer.step()
        tensors |= {f"step{step}.param.{n}": t.detach().clone() for n, t in p.items()}
    for n, t in p.items():
        for key, value in optimizer.state[t].items():
            if key != "step" and value is not None:
                tensors[f"state.{key}.{n}"] = value
    save(f"optim_{name}", tensors)


def clipping():
    g = generator(402)
    tensors = {}
    for case, limit in (("clipped", 1.0), ("untouched", 100.0)):
        p = {n: torch.zeros(shape, dtype=torch.float64, requires_grad=True)
             for n, shape in SHAPES.items()}
        for n, t in p.items():
            t.grad = normal(g, *t.shape)
            tensors[f"{case}.before.{n}"] = t.grad.clone()
        tensors[f"{case}.max_norm"] = torch.tensor(limit).double()
        tensors[f"{case}.norm"] = torch.nn.utils.clip_grad_norm_(p.values(), limit)
        tensors |= {f"{case}.after.{n}": t.grad for n, t in p.items()}
    save("optim_clip", tensors)


def make():
    for name, case in CASES.items():
        trajectory(name, *case)
    clipping()
    save_json("optim", {name: {"class": cls, "steps": STEPS, "groups": [
        {"params": list(names), **options} for names, options in zip(GROUPS, (first, second))]}
        for name, (cls, first, second) in CASES.items()})
