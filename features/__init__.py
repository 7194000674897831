"""What a clip is and how it becomes numbers: audio, front end, record contract, stores on disk."""

__version__ = "0.1.0"
