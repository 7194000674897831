"""Python's garbage collector rests while a command imports: it would look through a million objects that all stay."""

from __future__ import annotations

import gc


def rest() -> None:
    """Leave cycles of objects where they are, until `resume`."""
    gc.disable()


def resume() -> None:
    """Collect again in a process whose collector rests, but never look at what is there now."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()
