"""`python tests/fuzz.py`: feeds readers of foreign data with what a coverage-guided fuzzer makes up.

The fuzzer is libFuzzer by way of Atheris (https://github.com/google/atheris). For each target it prints how many inputs
were fed. An input that ends in anything but a value or a documented error is kept in the folder that is named.
"""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import click

ROOT: Final = Path(__file__).parent.parent
MOST_MEMORY_MB: Final = 2_048
INSTRUMENTED: Final = ["base", "features", "pipelines", "readers", "stores", "tarfile", "zipfile"]
LONGEST_S: Final = 20
"""Of one input."""


@click.command()
@click.argument("names", nargs=-1)
@click.option("--seconds", default=60, show_default=True, type=click.IntRange(1), help="For each target.")
@click.option("--runs", type=click.IntRange(1), help="Inputs for each target, at most.")
@click.option("--seed", type=click.IntRange(1), help="Of the fuzzer; another one each time by default.")
@click.option("--found", type=click.Path(path_type=Path), help="Folder for what was found, and to go on from.")
@click.option("--inside", is_flag=True, hidden=True)
def main(
    names: tuple[str, ...], seconds: int, runs: int | None, seed: int | None, found: Path | None, inside: bool
) -> None:
    """Feed the targets NAMES of `fuzz_targets`, all by default. The exit code is 1 if something was found."""
    if inside:
        _fuzz(names[0], list(names[1:]))
        return
    from fuzz_targets import TARGETS

    if unknown := set(names) - TARGETS.keys():
        raise click.UsageError(f"there is no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    folder = found or Path(tempfile.mkdtemp(prefix="fuzz-"))
    bounds = [f"-max_total_time={seconds}", *([f"-runs={runs}"] if runs else []), *([f"-seed={seed}"] if seed else [])]
    results = [_run(name, bounds, folder / name) for name in names or TARGETS]
    if not all(results):
        sys.exit(1)


def _run(name: str, bounds: list[str], folder: Path) -> bool:
    """Fuzz one target in a process of its own, within bounds for libFuzzer; whether nothing was found."""
    from fuzz_targets import INPUTS, TARGETS

    corpus, crashes = folder / "corpus", folder / "crashes"
    for each in (corpus, crashes, INPUTS / name):
        each.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[name].seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        *bounds,
        f"-max_len={TARGETS[name].longest}",
        f"-rss_limit_mb={MOST_MEMORY_MB}",
        f"-timeout={LONGEST_S}",
        f"-artifact_prefix={crashes}/",
    ]
    command = [sys.executable, __file__, "--inside", name, "--", *options, str(corpus), str(INPUTS / name)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    (folder / "log.txt").write_text(done.stdout + done.stderr)
    counted = re.findall(r"Done (\d+) runs? in (\d+) second", done.stderr)
    fed = f"{int(counted[-1][0]):,} inputs in {counted[-1][1]} s" if counted else "ended before its time"
    kept = [each for each in crashes.iterdir() if not each.name.startswith("slow-unit")]  # those ended in time
    ended_well = done.returncode == 0 and bool(counted) and not kept
    click.echo(f"{name}: {fed}, {len(list(corpus.iterdir()))} of them of interest; {len(kept)} found")
    if not ended_well:
        click.echo(done.stdout + "\n".join(line for line in done.stderr.splitlines() if "ERROR" in line))
        for each in kept:
            click.echo(f"{each}, in base 64: {base64.b64encode(each.read_bytes()).decode()}")
    return ended_well


def _fuzz(name: str, options: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from fuzz_targets import TARGETS
    atheris.Setup([sys.argv[0], *options], TARGETS[name].feed)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
    main()
