"""`python -m registry card`: writes the data card of a store as a page with pictures."""

from __future__ import annotations

from pathlib import Path

import click

from base import command, files
from readers.store import open_store
from registry.commands.output import json_option, show_json
from reports.data_card import make_card


@click.command()
@click.argument("store")
@click.argument("clips")
@click.argument("page", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def main(store: str, clips: str, page: Path, as_json: bool) -> None:
    """Write the data card of STORE, made from the store of clips CLIPS, as the Markdown file PAGE.

    Its pictures are written into a folder next to it that has its name without .md.
    """
    folder = page.with_suffix("")
    if folder == page:
        raise click.BadParameter(f"{page} has no ending: name a file such as docs/data-card.md", param_hint="PAGE")
    card = make_card(open_store(store), open_store(clips), folder.name)
    for name, content in card.pictures.items():
        with files.published(str(folder / name)) as file:
            file.write(content)
    files.write_text(str(page), card.text)
    written = {"page": str(page), "pictures": [str(folder / name) for name in card.pictures]}
    if as_json:
        show_json(written)
    else:
        command.say(f"{page}: {len(card.pictures)} pictures in {folder}")
