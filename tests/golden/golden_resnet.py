"""Residual networks: torchvision's ResNet at a small width, and the form for CIFAR and clips in
plain PyTorch. Logits, gradients and running statistics, in training and in evaluation."""
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet, resnet18

from golden_io import (generator, normal, params, randomise, randomise_statistics, record, save,
                       save_json)

CLASSES = 5


def torchvision_net(width=2):
    """torchvision's layout with one block a stage; its own widths begin at 64."""
    net = ResNet(BasicBlock, [1, 1, 1, 1], num_classes=CLASSES)
    net.inplanes = width
    net.conv1, net.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
    for stage in range(4):
        layer = net._make_layer(BasicBlock, width << stage, 1, stride=1 if stage == 0 else 2)
        setattr(net, f"layer{stage + 1}", layer)
    net.fc = nn.Linear(width << 3, CLASSES)
    return net


class Block(nn.Module):
    def __init__(self, conv, norm, inputs, outputs, stride):
        super().__init__()
        self.conv1 = conv(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = norm(outputs)
        self.conv2 = conv(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = norm(outputs)
        self.downsample = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride, bias=False),
                                            norm(outputs))

    def forward(self, x):
        y = self.conv2(torch.relu(self.bn1(self.conv1(x))))
        return torch.relu(self.bn2(y) + self.downsample(x))


class PlainNet(nn.Module):
    """The first convolution keeps the size, and nothing is pooled before the end."""

    def __init__(self, axes, channels, width, blocks, strides):
        super().__init__()
        conv, norm = {2: (nn.Conv2d, nn.BatchNorm2d), 3: (nn.Conv3d, nn.BatchNorm3d)}[axes]
        self.conv1, self.bn1 = conv(channels, width, 3, 1, 1, bias=False), norm(width)
        self.layers, inputs = [], width
        for stage, (count, stride) in enumerate(zip(blocks, strides)):
            outputs = width << stage
            layer = nn.Sequential(*[Block(conv, norm, outputs if i else inputs, outputs,
                                          1 if i else stride) for i in range(count)])
            self.layers.append(f"layer{stage + 1}")
            setattr(self, self.layers[-1], layer)
            inputs = outputs
        self.fc = nn.Linear(inputs, CLASSES)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        for name in self.layers:
            x = getattr(self, name)(x)
        return self.fc(x.flatten(2).mean(2))


def randomise_all(net, g):
    return randomise_statistics(randomise(net, g), g)


def cases(net, g, images):
    """`training` and `eval`, both from the same running statistics: before.*, after.*."""
    before = {n: b.clone() for n, b in net.named_buffers()}
    images, cotangent = normal(g, *images), normal(g, images[0], CLASSES)
    tensors = params(net) | {f"before.{n}": b for n, b in before.items()}
    tensors |= record("training", {"images": images}, lambda images: net(images), cotangent, net)
    tensors |= {f"after.{n}": b.clone() for n, b in net.named_buffers()}
    net.load_state_dict(net.state_dict() | before)
    net.eval()
    tensors |= record("eval", {"images": images}, lambda images: net(images), cotangent, net)
    for name in ("images", "cotangent"):  # the same in both cases
        tensors[name] = tensors.pop(f"training.{name}")
        del tensors[f"eval.{name}"]
    return tensors


def make():
    g = generator(901)
    tensors = cases(randomise_all(torchvision_net(), g), g, (2, 3, 37, 21))
    gradients = {n: t for n, t in tensors.items() if ".grad." in n}
    save("resnet_torchvision", {n: t for n, t in tensors.items() if n not in gradients})
    # Of training alone, to keep the file small.
    save("resnet_torchvision_gradients",
         {n: t for n, t in gradients.items() if n.startswith("training.")})
    g = generator(902)
    save("resnet_cifar", cases(randomise_all(PlainNet(2, 2, 3, [2, 1], [1, 2]), g), g,
                               (2, 2, 9, 6)))
    g = generator(903)
    save("resnet_clips", cases(randomise_all(PlainNet(3, 2, 2, [1, 1], [1, 2]), g), g,
                               (2, 2, 3, 4, 5)))
    net = randomise_all(torchvision_net(), generator(904))
    save("state_dict_resnet", net.float().state_dict())
    save_json("resnet18_names", {n: list(t.shape) for n, t in resnet18().state_dict().items()})
