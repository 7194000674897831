"""A small model that is trained in seconds, for the tests of training and evaluation."""

from __future__ import annotations

from typing import Final

from training.config import Augment, Fit, Model
from training.models.cnn import Numbers

NO_CHANGE: Final = Augment(time_shift_ms=0, time_masks=0, time_mask_frames=0, frequency_masks=0, frequency_mask_bins=0)
ALL_CHANGES: Final = Augment(
    time_shift_ms=120, time_masks=1, time_mask_frames=4, frequency_masks=1, frequency_mask_bins=2
)
FIT: Final = Fit(
    splits=("train",),
    epochs=6,
    batch_size=20,
    learning_rate=0.01,
    learning_rate_schedule="cosine",
    warmup_epochs=1,
    weight_decay=0.001,
    label_smoothing=0.05,
    early_stopping_epochs=6,
    shuffle_buffer=64,
    precision="float32",
    seed=0,
)
NUMBERS: Final = Numbers(filters=(6, 8), kernel_size=3, dense_units=(16,), dropout=0.1)
MODEL: Final = Model(name="small", network="cnn", view="small", fit=FIT, augment=ALL_CHANGES, numbers=NUMBERS)
