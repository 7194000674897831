"""`python -m registry manifest`: copies the manifest of a store, which stands for all that is in it."""

from __future__ import annotations

import click

from base import files
from base.errors import DataError
from readers.store import open_store
from stores.manifest import MANIFEST_FILE, Manifest


@click.command()
@click.argument("store")
@click.argument("output", metavar="FILE", type=click.Path(dir_okay=False))
def main(store: str, output: str) -> None:
    """Copy the manifest of STORE, local or remote, into FILE.

    It has the SHA-256 of every shard and table: by it, DVC tracks a store that stays where it is.
    """
    text = files.read_text(files.join(open_store(store).path, MANIFEST_FILE))
    if files.is_file(output):
        try:
            Manifest.from_json(files.read_text(output), output)
        except (DataError, UnicodeDecodeError) as error:
            raise DataError(f"{output} is no manifest: move it away, or name another file") from error
    files.write_text(output, text)
