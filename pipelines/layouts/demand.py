"""The layout of DEMAND: SCENE/ch01.wav to ch16.wav, sixteen microphones of one array; the first one is taken.

The channels of a scene are nearly the same sound (https://zenodo.org/records/1227121), so all of them in a store would
put one noise into several splits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from pipelines.layouts import Background, Layout, Other, Role, normalized, other

_RECORDING: Final = re.compile(r"(?:.+/)?(?P<scene>[DNOPST][A-Z]{2,})/ch(?P<channel>\d\d)\.wav")
_TAKEN: Final = "01"


@dataclass(frozen=True)
class Demand(Layout):
    """A folder for each scene; of its channels the first is background."""

    expected: ClassVar[str] = "SCENE/ch01.wav"
    corpus_name: ClassVar[str | None] = "demand"
    signature: ClassVar[re.Pattern[str] | None] = _RECORDING
    holds_noise: ClassVar[bool] = True

    def role(self, path: str) -> Role:
        """What a file is."""
        path = normalized(path)
        match = _RECORDING.fullmatch(path)
        if match is None:
            return other(path)
        if match["channel"] != _TAKEN:
            return Other("other_channel")
        return Background(self.named(match["scene"]))


LAYOUT: Final[Layout] = Demand()
