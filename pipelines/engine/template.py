"""What a Flex Template of Dataflow runs: a stage, whose paths are named parameters, since Dataflow knows no others.

`deploy/dataflow/metadata.json` declares the parameters. The launcher adds options of its own and waits for nothing.
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import Final

import click

from base import command, files, params
from base.errors import DataError

STAGES: Final = {
    "ingest": ("raw", "clips"),
    "select": ("clips", "selection"),
    "augment": ("clips", "selection", "augmented"),
    "extract": ("clips", "selection", "features"),
}
"""Stage → the parameters that are its paths, in order."""
_RUNNER: Final = "--runner=DataflowRunner"


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--stage", required=True, help="ingest, select, augment or extract.")
@click.option("--raw", help="Folder of the archives and of corpus.json.")
@click.option("--clips", help="Store of clips.")
@click.option("--selection", help="Table of the selected clips.")
@click.option("--augmented", help="Folder of a recipe's copies.")
@click.option("--features", help="Folders of views, divided by commas.")
@click.option("--parameters", help="A params.yaml to take instead of the image's.")
@click.argument("beam_options", nargs=-1, type=click.UNPROCESSED)
def main(stage: str, parameters: str | None, beam_options: tuple[str, ...], **paths: str | None) -> None:
    """Submit a stage to Dataflow. Further options are Beam's own."""
    arguments = positional(stage, paths)
    if parameters:
        Path(params.PARAMS_FILE).write_bytes(files.read_bytes(parameters))
    sys.argv[1:] = [*arguments, _RUNNER, *beam_options]
    runpy.run_module(f"pipelines.{stage}", run_name="__main__", alter_sys=True)


def positional(stage: str, paths: dict[str, str | None]) -> list[str]:
    """The paths of a stage's command line.

    Raises:
        DataError: there is no such stage, or it lacks a path.
    """
    if stage not in STAGES:
        raise DataError(f"stage {stage}: expected one of {', '.join(STAGES)}")
    missing = [name for name in STAGES[stage] if not paths.get(name)]
    if missing:
        raise DataError(f"stage {stage} needs the parameter {', '.join(missing)}: give a gs:// path")
    return [path for name in STAGES[stage] for path in str(paths[name]).split(",")]


if __name__ == "__main__":
    sys.path[0] = os.getcwd()  # not the folder of this file, whose modules have names of their own
    command.run(main)
