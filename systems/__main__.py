"""`python -m systems`: lists the published systems, or trains and evaluates some, each in a folder of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
from tabulate import tabulate

from base import command, params
from base.errors import DataError
from reproduce import timed_repro
from systems.entry import System, names, parameters, read
from systems.results import Result, results
from systems.workspace import prepare

ALL: Final = "all"
DEFAULT_CORPUS: Final = "synthetic"


@click.command()
@click.argument("chosen", nargs=-1, metavar="[NAME]...")
@click.option("--archive", default=DEFAULT_CORPUS, help="An entry of corpus.sources, for systems on Speech Commands.")
@click.option("--digits", default=DEFAULT_CORPUS, help="Likewise, for systems on spoken digits.")
@click.option("--task", default="commands", help="The task in the place of `commands`, if the archive lacks its words.")
@click.option("--folder", default="build/systems", type=click.Path(path_type=Path), help="Where to work.")
def main(chosen: Sequence[str], archive: str, digits: str, task: str, folder: Path) -> None:
    """Train and evaluate the systems NAME..., or all; without a name, list them.

    Each runs in FOLDER/CORPUS/NAME, apart from the project's own data and models. The same command again resumes what
    was interrupted, and runs only what has changed.
    """
    if not chosen:
        click.echo(listing())
        return
    project, found = params.read_yaml(params.PARAMS_FILE), []
    for name in names() if ALL in chosen else chosen:
        system = read(name)
        source = digits if system.corpus == "spoken_digits" else archive
        for variant in system.variants:
            content = parameters(project, system, variant, as_source(source), task)
            found += run(name, variant, content, folder / corpus_name(source))
    click.echo(f"\n{table(found)}")


def run(name: str, variant: str, content: dict[str, Any], corpus: Path) -> list[Result]:
    """Run the chain of a variant and say what came out.

    Args:
        name: the system.
        variant: its variant, or nothing.
        content: of its params.yaml.
        corpus: the folder of all systems of its corpus.

    Raises:
        DataError: a stage fails.
    """
    label, workspace = f"{name} {variant}".strip(), corpus / name / variant
    command.say(f"{label}: in {workspace}")
    prepare(workspace, content, corpus)
    exit_code, _ = timed_repro((), workspace)
    if exit_code:
        raise DataError(f"{label}: dvc repro ended with exit code {exit_code} in {workspace}: its last lines say why")
    return results(label, workspace)


def as_source(entry: str) -> str:
    """An entry of corpus.sources that means the same in another folder."""
    return str(Path(entry).resolve()) if Path(entry).exists() else entry


def corpus_name(entry: str) -> str:
    """The folder of a corpus: the name of the archive without its endings, or that of the release."""
    return Path(entry).name.removesuffix(".gz").removesuffix(".tgz").removesuffix(".tar").removesuffix(".zip")


def listing() -> str:
    """All systems with what they state, as a table."""
    rows = [row for name in names() for row in _listed(name, read(name))]
    headers = ("system", "model", "corpus", "task", "split", "view", "network", "epochs", "original")
    return tabulate(rows, headers=headers)


def _listed(name: str, system: System) -> list[tuple[str, ...]]:
    """A row for each model of each variant."""
    project = params.read_yaml(params.PARAMS_FILE)
    rows: list[tuple[str, ...]] = []
    for variant in system.variants:
        content = parameters(project, system, variant, DEFAULT_CORPUS, "commands")
        select, fit = content["select"], content["train"]["fit"]
        for model, entry in content["models"].items():
            epochs = {**fit, **entry.get("fit", {})}["epochs"]
            rows.append(
                (
                    f"{name} {variant}".strip(), model, system.corpus, select["task"], select["split"]["method"],
                    entry["view"], entry["network"], f"{epochs}", system.original,
                )
            )  # fmt: skip
    return rows


def table(rows: Sequence[Result]) -> str:
    """Results as a table in Markdown."""
    headers = [name.replace("_", " ") for name in Result._fields]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


if __name__ == "__main__":
    command.run(main)
