"""A small model that is trained in seconds, for the tests of training and evaluation."""

from __future__ import annotations

import dataclasses
from typing import Final

from training_store import SMALL_MFCC

from training.config import Augment, Fit, Model
from training.models.cnn import Numbers

NO_CHANGE: Final = Augment(
    time_shift_ms=0,
    speed=(1.0, 1.0),
    noise_probability=0.0,
    white_noise_probability=0.0,
    noise_snr_db=(5.0, 25.0),
    gain_db=(0.0, 0.0),
    time_warp_frames=0,
    mixup=0.0,
    time_masks=0,
    time_mask_frames=0,
    frequency_masks=0,
    frequency_mask_bins=0,
)
ALL_CHANGES: Final = dataclasses.replace(
    NO_CHANGE,
    time_shift_ms=120,
    time_warp_frames=3,
    mixup=0.2,
    time_masks=1,
    time_mask_frames=4,
    frequency_masks=1,
    frequency_mask_bins=2,
)
"""All that stored features can take."""
FRESH: Final = dataclasses.replace(
    ALL_CHANGES,
    speed=(0.85, 1.15),
    noise_probability=0.8,
    white_noise_probability=0.3,
    gain_db=(-10.0, 6.0),
)
"""All that waveforms can take as well."""
FIT: Final = Fit(
    splits=("train",),
    epochs=6,
    batch_size=20,
    optimizer="adamw",
    learning_rate=0.01,
    learning_rate_schedule="cosine",
    learning_rate_steps=(),
    warmup_epochs=1,
    weight_decay=0.001,
    weight_average_decay=0.0,
    label_smoothing=0.05,
    distillation_weight=0.0,
    distillation_temperature=1.0,
    early_stopping_epochs=6,
    shuffle_buffer=64,
    precision="float32",
    gradient_histograms=False,
    seed=0,
)
NUMBERS: Final = Numbers(filters=(6, 8), kernel_size=3, dense_units=(16,), dropout=0.1)
MODEL: Final = Model(
    name="small",
    network="cnn",
    view="small",
    source="small",
    definition=SMALL_MFCC,
    fit=FIT,
    augment=ALL_CHANGES,
    numbers=NUMBERS,
)
