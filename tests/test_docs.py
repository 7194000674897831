"""The pages refer to files that exist, name commands that exist, and their outputs can be written again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from corpus_tools import ROOT

from base.errors import DataError
from docs.refresh import refreshed
from registry.__main__ import main

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?://)([^)#]*)(#[^)]*)?\)")


def anchors(page: str) -> set[str]:
    """The names by which links lead to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_every_link_leads_to_a_file_of_the_project(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            assert anchor[1:] in anchors(file.read_text()), anchor


def test_the_pages_name_exactly_the_commands_that_there_are() -> None:
    named = {name for page in PAGES for name in re.findall(r"python -m registry ([a-z]+)", page.read_text())}
    assert named == set(main.list_commands(None))  # type: ignore[attr-defined,arg-type]


def test_refreshing_a_page_writes_output_and_leaves_the_rest() -> None:
    commands = "# A\n\n```console\n$ echo 1\n{}$ echo 2; exit 3\n{}```\n\n"
    program = "```python\nprint(6 * 7)\n```\n\n```text\n{}```\n\n```python\n1 / 0\n```\n\n```sh\nrm x\n```\n"
    expected = commands.format("1\n", "2\n") + program.format("42\n")
    assert refreshed(commands.format("old\n", "") + program.format("old\n")) == expected == refreshed(expected)


def test_a_program_that_fails_is_not_written_into_a_page() -> None:
    with pytest.raises(DataError, match=r"exit code 1; it began '1 / 0'"):
        refreshed("```python\n1 / 0\n```\n\n```text\n```\n")
