"""What becomes of each kind of audio file is what the page says, whatever the file is cut to."""

from __future__ import annotations

import pytest
from audio_kinds import BEGIN, END, KEPT, PAGE, Kind, kinds, written

from features.audio_file import AudioError, AudioFile

KINDS = kinds()


def test_there_are_at_least_sixty_kinds_each_there_once() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) >= 60
    assert len({kind.data for kind in KINDS}) > 0.97 * len(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_of_file_is_kept_or_rejected_as_the_page_says(kind: Kind) -> None:
    assert decision(kind.data) == kind.decision


def decision(data: bytes) -> str:
    try:
        file = AudioFile(data)
    except AudioError as error:
        assert str(error) and len(str(error)) < 300 and "\n" not in str(error)
        return error.reason
    assert sum(block.size for block in file.blocks()) == file.size > 0
    return KEPT


def test_a_file_cut_anywhere_is_a_value_or_a_reason() -> None:
    for kind in KINDS:
        for place in range(0, len(kind.data), max(len(kind.data) // 9, 1)):
            decision(kind.data[:place])


def test_the_page_has_the_table_of_these_kinds() -> None:
    page = PAGE.read_text()
    assert page.count(BEGIN) == page.count(END) == 1
    assert page == written(page), "run python tests/audio_kinds.py"
