"""`python -m serving.web`: a page with a microphone and an interface for programs, at http://localhost:5000."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import click

from base import command
from base.errors import DataError
from results.model import read_description
from serving.model import open_model
from serving.recognizer import Listening
from serving.tested import thresholds_option
from serving.web.decoding import check_listening
from serving.web.limits import limits_of
from serving.web.site import Access, Site
from serving.web.teaching import Sources


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is all of them.")
@click.option("--port", default=5000, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--allow-host", "names", multiple=True, help="Another name that the server answers to.")
@click.option("--step-ms", default=Listening().step_ms, show_default=True, type=click.IntRange(10, 500))
@click.option("--average-ms", default=Listening().average_ms, show_default=True, type=click.IntRange(0, 2000))
@click.option("--refractory-ms", default=Listening().refractory_ms, show_default=True, type=click.IntRange(0, 10_000))
@click.option("--limit", "changed", multiple=True, metavar="NAME=NUMBER", help="Another bound, such as listeners=20.")
@thresholds_option
@click.option("--record", type=click.Path(path_type=Path), help="A folder for takes of new words; lets people record.")
@click.option("--model", type=click.Path(path_type=Path), help="The trained model that learns them. [models/NAME]")
@click.option("--raw", default="data/raw", show_default=True, type=click.Path(path_type=Path), help="Its archives.")
def main(
    folder: Path,
    host: str,
    port: int,
    names: tuple[str, ...],
    step_ms: int,
    average_ms: int,
    refractory_ms: int,
    changed: tuple[str, ...],
    tested: Path | None,
    record: Path | None,
    model: Path | None,
    raw: Path,
) -> None:
    """Serve the export in FOLDER: a page with a microphone, POST /v1/predict, and a WebSocket for streams.

    /openapi.json describes the interface, /metrics has counters, /healthz says whether it works. It listens on this
    machine alone unless --host says otherwise; it has no passwords and no encryption.
    """
    limits = limits_of(changed)
    opened = open_model(folder, tested)
    listening = Listening(step_ms=step_ms, average_ms=average_ms, refractory_ms=refractory_ms)
    check_listening(opened, listening)
    sources = None if record is None else sources_of(record, model or Path("models") / opened.export.model, raw)
    site = Site(folder, opened, listening, limits, Access(host, port, names), sources)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(site, host, folder))


def sources_of(record: Path, model: Path, raw: Path) -> Sources:
    """What a model is taught with, all of it there.

    Raises:
        DataError: the model or its archives are missing.
    """
    read_description(model)
    if not raw.is_dir():
        raise DataError(f"{raw} is missing: it has the archives that {model} was trained on; name them with --raw")
    return Sources(model, raw, record / "takes", record / "work")


async def serve(site: Site, host: str, folder: Path) -> None:
    """Answer until SIGINT or SIGTERM.

    Raises:
        DataError: the port is taken, or a decoder does not start.
    """
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    try:
        async with site.run() as port:
            name = "localhost" if host == "127.0.0.1" else f"[{host}]" if ":" in host else host
            command.say(f"{folder}: http://{name}:{port} (Ctrl-C ends it)")
            await ended.wait()
    except OSError as error:
        raise DataError(
            f"{host} can't be listened on: {error.strerror or error}; give another --host or --port"
        ) from error


if __name__ == "__main__":
    command.run(main)
