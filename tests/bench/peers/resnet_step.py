#!/usr/bin/env python3
"""One training step of ResNet-20 in eager PyTorch: the twin of heed's.

128 pictures of 1 x 28 x 28, width 16, three stages of three basic blocks, shortcuts with a
convolution where the size changes, AdamW, clipping at 1. NCHW and channels_last are tried, the
better one counts.
"""
import argparse

from timing import emit, median_seconds, need_torch, peak_mebibytes, wanted

BATCH, SIDE, CLASSES, WIDTH, BLOCKS = 128, 28, 10, 16, 3
NAME, MEMORY = "step/resnet", "memory/resnet"


def build(torch):
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU(inplace=True)
            self.downsample = None
            if stride != 1 or inputs != outputs:
                self.downsample = nn.Sequential(
                    nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

        def forward(self, x):
            y = self.relu(self.bn1(self.conv1(x)))
            y = self.bn2(self.conv2(y))
            y += x if self.downsample is None else self.downsample(x)
            return self.relu(y)

    layers, inputs = [], WIDTH
    for stage in range(3):
        outputs = WIDTH << stage
        for i in range(BLOCKS):
            layers.append(Block(inputs, outputs, 2 if stage > 0 and i == 0 else 1))
            inputs = outputs
    return nn.Sequential(nn.Conv2d(1, WIDTH, 3, 1, 1, bias=False), nn.BatchNorm2d(WIDTH),
                         nn.ReLU(inplace=True), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                         nn.Linear(inputs, CLASSES)).train()


def training(torch, memory_format):
    """The step, and the number of parameters."""
    torch.manual_seed(1)
    model = build(torch).to(memory_format=memory_format)
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
    if not wanted(args.filter, NAME) and not wanted(args.filter, MEMORY):
        return
    torch = need_torch(args.threads)
    forms = (torch.contiguous_format, torch.channels_last)
    if wanted(args.filter, MEMORY):
        emit(MEMORY, min(peak_mebibytes(lambda: training(torch, form)[0]) for form in forms), "MiB")
    if not wanted(args.filter, NAME):
        return
    steps = [training(torch, form) for form in forms]
    seconds = min(median_seconds(step, seconds=0, least=args.steps) for step, _ in steps)
    count = steps[0][1]
    emit(f"{NAME}_parameters", count, "parameters")
    emit(NAME, BATCH / seconds, "images/s")
    emit(f"{NAME}_time", seconds * 1e3, "ms")


if __name__ == "__main__":
    main()
