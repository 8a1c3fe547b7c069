"""Single ops: outputs and gradients against a fixed random cotangent."""
import torch
import torch.nn.functional as F

from golden_io import generator, normal, record, save


def norms():
    g = generator(301)
    x, weight, bias = normal(g, 2, 3, 6), normal(g, 6), normal(g, 6)
    cotangent = normal(g, 2, 3, 6)
    tensors = record("layer_norm", {"x": x, "weight": weight, "bias": bias},
                     lambda x, weight, bias: F.layer_norm(x, (6,), weight, bias, 1e-5), cotangent)
    tensors |= record("layer_norm_plain", {"x": x}, lambda x: F.layer_norm(x, (6,), eps=1e-5),
                      cotangent)
    tensors |= record("rms_norm", {"x": x, "weight": weight},
                      lambda x, weight: F.rms_norm(x, (6,), weight, 1e-6), cotangent)
    save("ops_norm", tensors)


def softmaxes():
    g = generator(302)
    x, cotangent = normal(g, 2, 4, 5, scale=3.0), normal(g, 2, 4, 5)
    tensors = {}
    for name, f in (("softmax", F.softmax), ("log_softmax", F.log_softmax)):
        for axis, label in ((-1, "last"), (1, "middle")):
            tensors |= record(f"{name}_{label}", {"x": x}, lambda x: f(x, dim=axis), cotangent)
    for name, f in (("logsumexp", torch.logsumexp), ("cumsum", torch.cumsum)):
        out = f(x, 1)
        tensors |= record(name, {"x": x}, lambda x: f(x, 1), normal(g, *out.shape))
    save("ops_softmax", tensors)


def losses():
    g = generator(303)
    logits, target = normal(g, 6, 5, scale=2.0), torch.tensor([0, 4, -100, 2, 2, -100])
    x, weight = normal(g, 6, 3), normal(g, 5, 3)
    one = lambda out: normal(g, *out.shape)  # losses too are pulled back by a random cotangent
    tensors = {}
    for label, smoothing in (("", 0.0), ("_smooth", 0.1)):
        for reduction in ("mean", "sum", "none"):
            def loss(logits):
                return F.cross_entropy(logits, target, label_smoothing=smoothing,
                                       ignore_index=-100, reduction=reduction)
            tensors |= record(f"cross_entropy{label}_{reduction}", {"x": logits},
                              lambda x: loss(x), one, fixed={"target": target})
        for reduction in ("mean", "sum"):
            def linear_loss(x, weight):
                return F.cross_entropy(F.linear(x, weight), target, label_smoothing=smoothing,
                                       ignore_index=-100, reduction=reduction)
            tensors |= record(f"linear_cross_entropy{label}_{reduction}",
                              {"x": x, "weight": weight}, linear_loss, one,
                              fixed={"target": target})

    y, labels = normal(g, 4, 3), torch.from_numpy(g.integers(0, 2, (4, 3)).astype("float64"))
    for reduction in ("mean", "sum"):
        tensors |= record(f"mse_{reduction}", {"x": normal(g, 4, 3), "y": y},
                          lambda x, y: F.mse_loss(x, y, reduction=reduction), one)
        tensors |= record(
            f"bce_logits_{reduction}", {"x": normal(g, 4, 3, scale=2.0)},
            lambda x: F.binary_cross_entropy_with_logits(x, labels, reduction=reduction), one,
            fixed={"target": labels})
    save("ops_loss", tensors)


def activations():
    g = generator(304)
    special = torch.tensor([-30.0, -6.0, -1e-3, 0.0, 1e-3, 6.0, 25.0, 30.0]).double()
    x = torch.cat([special, normal(g, 16, scale=2.0)])
    cotangent = normal(g, 24)
    functions = {
        "gelu_erf": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "silu": F.silu,
        # PyTorch's own is linear above its threshold of 20: set it out of reach
        "softplus": lambda x: F.softplus(x, threshold=1e9),
        "elu": lambda x: F.elu(x, alpha=1.0),
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
    }
    tensors = {}
    for name, f in functions.items():
        tensors |= record(name, {"x": x}, lambda x: f(x), cotangent)
    save("ops_activation", tensors)


def embeddings():
    g = generator(305)
    ids = torch.tensor([[1, 0, 3], [3, 3, 6]])  # a repeated row must add up
    weight, cotangent = normal(g, 7, 4), normal(g, 2, 3, 4)
    tensors = record("embedding", {"weight": weight}, lambda weight: F.embedding(ids, weight),
                     cotangent, fixed={"ids": ids})
    tensors |= record("embedding_padding", {"weight": weight},
                      lambda weight: F.embedding(ids, weight, padding_idx=3), cotangent,
                      fixed={"ids": ids})
    save("ops_embedding", tensors)


def make():
    norms()
    softmaxes()
    losses()
    activations()
    embeddings()
