"""A file of random weights in the form in which EfficientNet-Lite0 is published."""

import numpy as np

# Repeats, kernel, first stride, expansion, channels: table 1 of the paper, written out again.
STAGES = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]


def layout():
    """List each block as (kernel, stride, expansion, inputs, outputs)."""
    layers, channels = [], 32
    for repeats, kernel, stride, expansion, outputs in STAGES:
        for number in range(repeats):
            layers.append((kernel, 1 if number else stride, expansion, channels, outputs))
            channels = outputs
    return layers


def write_published(path):
    """Write random weights under the names and with the axes of the PyTorch publication."""
    generator = np.random.default_rng(3)
    arrays = {}

    def add(kernel, normalisation, outputs, inputs, side):
        spread = np.sqrt(2 / (inputs * side * side))
        arrays[f"{kernel}.weight"] = generator.normal(0, spread, (outputs, inputs, side, side))
        arrays[f"{normalisation}.weight"] = generator.uniform(0.8, 1.2, outputs)
        arrays[f"{normalisation}.bias"] = generator.normal(0, 0.1, outputs)
        arrays[f"{normalisation}.running_mean"] = generator.normal(0, 0.1, outputs)
        arrays[f"{normalisation}.running_var"] = generator.uniform(0.5, 1.5, outputs)

    add("_conv_stem", "_bn0", 32, 3, 3)
    for number, (kernel, _, expansion, inputs, outputs) in enumerate(layout()):
        name, wide = f"_blocks.{number}.", inputs * expansion
        if expansion > 1:
            add(f"{name}_expand_conv", f"{name}_bn0", wide, inputs, 1)
        add(f"{name}_depthwise_conv", f"{name}_bn1", wide, 1, kernel)
        add(f"{name}_project_conv", f"{name}_bn2", outputs, wide, 1)
    add("_conv_head", "_bn1", 1280, 320, 1)
    arrays = {name: values.astype(np.float32) for name, values in arrays.items()}
    np.savez(path, **arrays)
    return path
