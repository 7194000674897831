"""Finished stores, opened for TensorFlow, NumPy, PyTorch and plain Python."""

from readers.store import Store as Store
from readers.store import open_store as open_store
