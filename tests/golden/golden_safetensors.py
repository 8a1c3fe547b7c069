"""A file by the reference safetensors writer, what it holds, and how its bytes come about."""
import json
import math
import struct

import torch
from safetensors.torch import save_file

from golden_io import HERE, save_json

NAMES = {torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16",
         torch.int32: "I32", torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16",
         torch.float32: "F32", torch.float64: "F64"}
METADATA = {"format": "pt \"quoted\" größe"}  # one key: the reference keeps no order of several
SPECIAL = [0.0, -0.0, 1.0, -2.5, math.inf, -math.inf, math.nan]


def content():
    t = torch.tensor
    return {
        "flags": t([True, False, True]),
        "bytes.u8": t([0, 1, 127, 128, 255], dtype=torch.uint8),
        "bytes.i8": t([-128, -1, 0, 127], dtype=torch.int8),
        "ints.i16": t([[-32768, -1], [0, 32767]], dtype=torch.int16),
        "ints.i32": t([-2**31, -1, 0, 2**31 - 1], dtype=torch.int32),
        "ints.i64": t([-2**63, -1, 0, 2**63 - 1, 2**53 + 1], dtype=torch.int64),
        "half": t(SPECIAL + [65504.0, 2.0**-24, 1 / 3], dtype=torch.float16),
        "brain": t(SPECIAL + [3.0e38, 1e-40, 1 / 3], dtype=torch.bfloat16),
        "single": t(SPECIAL + [3.4028234e38, 1e-45, 1 / 3], dtype=torch.float32),
        "double": t(SPECIAL + [1.7976931348623157e308, 5e-324, 1 / 3], dtype=torch.float64),
        "cube": torch.arange(24, dtype=torch.float32).reshape(2, 3, 4),
        "scalar": t(3.25, dtype=torch.float32),
        "empty": torch.zeros(0, 3, dtype=torch.float32),
        "empty_middle": torch.zeros(2, 0, 4, dtype=torch.int64),
        "name \"with\" größe\\": t([7], dtype=torch.int64),
        "a": t([1.5], dtype=torch.float64),
    }


def raw(tensor):
    flat = tensor.contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""


def writer_order(tensors):
    """Larger items first (the reference's own ranking), then by name in byte order."""
    rank = ["I64", "F64", "F32", "I32", "BF16", "F16", "I16", "I8", "U8", "BOOL"]
    return sorted(tensors, key=lambda n: (rank.index(NAMES[tensors[n].dtype]), n.encode()))


def own_bytes(tensors, metadata):
    """The reference's bytes, written from scratch: what a C++ writer has to reproduce."""
    header, at = {"__metadata__": metadata}, 0
    for name in writer_order(tensors):
        t, size = tensors[name], len(raw(tensors[name]))
        header[name] = {"dtype": NAMES[t.dtype], "shape": list(t.shape),
                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = b"".join(raw(tensors[n]) for n in writer_order(tensors))
    return struct.pack("<Q", len(text)) + text + data


def plain(value):
    """JSON has no NaN, no infinities: those become strings."""
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)


def make():
    tensors = content()
    path = HERE / "safetensors_golden.safetensors"
    save_file(tensors, path, metadata=METADATA)
    path.chmod(0o644)
    if path.read_bytes() != own_bytes(tensors, METADATA):
        raise ValueError("the reference writer's layout is not the one that README.md tells")
    expected = [{"name": n, "dtype": NAMES[tensors[n].dtype], "shape": list(tensors[n].shape),
                 "hex": raw(tensors[n]).hex(),
                 "values": [plain(v) for v in tensors[n].reshape(-1).tolist()]}
                for n in writer_order(tensors)]
    save_json("safetensors_golden", {"metadata": METADATA, "tensors": expected})
