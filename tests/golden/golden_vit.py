"""torchvision's VisionTransformer: logits and gradients, and its state dict as a user saves it."""
from torchvision.models import VisionTransformer

from golden_io import generator, normal, params, randomise, record, save

IMAGE, PATCH, E, H, HIDDEN, LAYERS, CLASSES, B = 12, 4, 8, 2, 16, 2, 5, 2


def model(g):
    vit = VisionTransformer(image_size=IMAGE, patch_size=PATCH, num_layers=LAYERS, num_heads=H,
                            hidden_dim=E, mlp_dim=HIDDEN, num_classes=CLASSES)
    return randomise(vit, g)


def make():
    g = generator(801)
    vit = model(g)
    images, cotangent = normal(g, B, 3, IMAGE, IMAGE), normal(g, B, CLASSES)
    save("vit_tiny", params(vit) | record(
        "plain", {"images": images}, lambda images: vit(images), cotangent, vit))
    save("state_dict_vit", model(generator(802)).float().state_dict())
