"""Batch norm and group norm: outputs, gradients, running statistics, a state dict."""
import torch
from torch import nn
import torch.nn.functional as F

from golden_io import generator, normal, params, randomise, record, save

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def random_running(module, g):
    if module.running_mean is not None:
        module.running_mean.copy_(normal(g, *module.running_mean.shape, scale=0.5))
        module.running_var.copy_(normal(g, *module.running_var.shape).square() + 0.5)


def batch_norms():
    g = generator(401)
    shapes = {1: [(6, 4), (3, 4, 5)], 2: [(3, 4, 3, 5)], 3: [(2, 4, 3, 2, 3)]}
    layers = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
    tensors = {}

    def case(name, module, shape, training, tail=None, residual=False):
        """`tail` follows the norm."""
        random_running(module, g)
        inputs = {"x": normal(g, *shape, scale=2.0, shift=0.5)}
        if residual:
            inputs["residual"] = normal(g, *shape)
        state = {f"before.{n}": getattr(module, n).clone() for n in STATISTICS
                 if getattr(module, n) is not None}
        module.train(training)
        tail = tail or (lambda y, residual=None: y)
        tensors.update(record(name, inputs,
                              lambda x, **more: tail(module(x), **more),
                              normal(g, *shape), module, fixed=state))
        if training:  # a second batch, which only moves the running statistics
            tensors[f"{name}.second"] = normal(g, *shape, scale=0.5, shift=-1.0)
            module(tensors[f"{name}.second"])
        for n in STATISTICS:
            if getattr(module, n) is not None:
                tensors[f"{name}.after.{n}"] = getattr(module, n).clone()

    shared = randomise(nn.BatchNorm1d(4), g)
    for axes, list_of in shapes.items():
        for shape in list_of:
            module = layers[axes](4).double()
            module.load_state_dict(shared.state_dict())
            label = f"{axes}d" + ("_rows" if len(shape) == 2 else "")
            case(f"{label}_training", module, shape, True)
            case(f"{label}_eval", module, shape, False)
    module = nn.BatchNorm2d(4, momentum=None, eps=1e-3).double()
    module.load_state_dict(shared.state_dict())
    case("average", module, (2, 4, 3, 3), True)
    case("plain", nn.BatchNorm2d(4, affine=False, momentum=0.3).double(), (2, 4, 3, 3), True)
    module = nn.BatchNorm2d(4, track_running_stats=False).double()
    module.load_state_dict(shared.state_dict(), strict=False)
    case("untracked", module, (2, 4, 3, 3), False)
    module = nn.BatchNorm2d(4).double()
    module.load_state_dict(shared.state_dict())
    for training in (True, False):
        label = "training" if training else "eval"
        case(f"relu_{label}", module, (2, 4, 3, 3), training, F.relu)
        case(f"add_relu_{label}", module, (2, 4, 3, 3), training,
             lambda y, residual: F.relu(y + residual), residual=True)
    save("batch_norm", tensors | params(shared))


def group_norms():
    g = generator(402)
    shared = randomise(nn.GroupNorm(2, 6), g)
    tensors = {}
    for groups in (1, 2, 6):
        module = nn.GroupNorm(groups, 6).double()
        module.load_state_dict(shared.state_dict())
        for shape in ((3, 6), (2, 6, 5), (2, 6, 3, 2)):
            if groups == 6 and len(shape) == 2:
                continue
            tensors |= record(f"groups{groups}_{len(shape)}", {"x": normal(g, *shape, scale=2.0)},
                              lambda x: module(x), normal(g, *shape), module)
    save("group_norm", tensors | params(shared))


def state_dict():
    g = generator(403)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.groups = nn.BatchNorm2d(4), nn.GroupNorm(2, 4)

    net = randomise(Net(), g).float()
    with torch.no_grad():
        for _ in range(3):
            net.norm(normal(g, 2, 4, 3, 3).float())
    save("state_dict_norm", net.state_dict())


def make():
    batch_norms()
    group_norms()
    state_dict()
