"""Trains a small depthwise-separable CNN of PyTorch on the shards of a store, without TensorFlow.

python -m examples.pytorch_cnn data/features/mfcc --epochs 10
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from base.errors import DataError
from readers.store import Store, open_store

BATCH, SHUFFLE, CHANNELS = 64, 4096, 64


def block() -> list[nn.Module]:
    """A convolution of each channel for itself, then one across channels."""
    depthwise = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, groups=CHANNELS, bias=False)
    pointwise = nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False)
    return [depthwise, nn.BatchNorm2d(CHANNELS), nn.ReLU(), pointwise, nn.BatchNorm2d(CHANNELS), nn.ReLU()]


def ds_cnn(classes: int) -> nn.Module:
    """After "Hello Edge: Keyword Spotting on Microcontrollers" (Zhang et al., 2017)."""
    first = [nn.Conv2d(1, CHANNELS, (10, 4), stride=4, bias=False), nn.BatchNorm2d(CHANNELS), nn.ReLU()]
    last = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(CHANNELS, classes)]
    return nn.Sequential(*first, *block(), *block(), *block(), *block(), *last)


def standardized(features: torch.Tensor, store: Store) -> torch.Tensor:
    """Features whose coefficients have mean 0 and standard deviation 1, with an axis of channels."""
    statistics = store.statistics()
    mean, std = torch.tensor(statistics.mean), torch.tensor(statistics.std).clamp(min=1e-6)
    return ((features - mean) / std).float().unsqueeze(1)


def train(model: nn.Module, store: Store, epochs: int, seed: int) -> None:
    dataset = store.torch("train", BATCH, shuffle=SHUFFLE, seed=seed, columns=(store.tensor, "label"))
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=epochs * len(dataset))
    for epoch in range(epochs):
        dataset.set_epoch(epoch)
        for batch in DataLoader(dataset, batch_size=None):
            scores = model(standardized(batch[store.tensor], store))
            optimizer.zero_grad()
            nn.functional.cross_entropy(scores, batch["label"]).backward()
            optimizer.step()
            schedule.step()


def test(model: nn.Module, store: Store) -> tuple[int, int]:
    """(right, all) clips of the test split."""
    batches = store.torch("test", 256, columns=(store.tensor, "label"))
    with torch.inference_mode():
        right = [model(standardized(batch[store.tensor], store)).argmax(1) == batch["label"] for batch in batches]
    return int(torch.cat(right).sum()), len(torch.cat(right))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train a small CNN on a store of features.")
    parser.add_argument("store", type=Path, help="folder of a view of frames, such as mfcc")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    try:
        opened = open_store(arguments.store)
    except DataError as error:
        parser.error(str(error))
    network = ds_cnn(len(opened.classes))
    train(network.train(), opened, arguments.epochs, arguments.seed)
    correct, clips = test(network.eval(), opened)
    print(f"test accuracy {correct / clips:.1%} on N = {clips} clips")
