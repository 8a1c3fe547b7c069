#!/usr/bin/env python3
"""Writes every golden file beside this script; `make_golden.py ops optim` only those families.

Needs torch, torchvision, numpy, pillow, safetensors and sacrebleu. The tests only read the files.
"""
import importlib
import sys

FAMILIES = ["attention", "layers", "ops", "pool", "optim", "safetensors", "bleu", "philox", "lm",
            "recurrent", "image_norm", "conv", "resize", "peers", "vit", "pictures"]


def main(chosen):
    unknown = set(chosen) - set(FAMILIES)
    if unknown:
        sys.exit(f"make_golden: unknown family {sorted(unknown)}; there are {FAMILIES}")
    import torch
    torch.set_num_threads(1)
    for family in chosen or FAMILIES:
        importlib.import_module(f"golden_{family}").make()
        print(f"golden: {family}")


if __name__ == "__main__":
    main(sys.argv[1:])
