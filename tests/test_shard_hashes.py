"""The pipelines make the committed bytes wherever this runs, and under caps that stand for other processors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import shard_hashes

NUMPY_LEVELS = {
    "no AVX-512": "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
    "no AVX2": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
    "no AVX": "SSE41 POPCNT SSE42 AVX F16C FMA3 AVX2 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL",
}
CAPS = {
    **{f"NumPy: {name}": {"NPY_DISABLE_CPU_FEATURES": features} for name, features in NUMPY_LEVELS.items()},
    "OpenBLAS for Haswell": {"OPENBLAS_CORETYPE": "Haswell"},
    "OpenBLAS for Prescott": {"OPENBLAS_CORETYPE": "Prescott"},
    "C library without AVX-512": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW"},
    "C library without AVX2 and FMA": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA,-FMA4"},
    "Numba for Haswell": {"NUMBA_CPU_NAME": "haswell"},
    "Numba for any x86-64": {"NUMBA_CPU_NAME": "generic"},
    "oneDNN: SSE4.1": {"DNNL_MAX_CPU_ISA": "SSE41"},
    "all at once, one thread": {
        "NPY_DISABLE_CPU_FEATURES": NUMPY_LEVELS["no AVX"],
        "NUMBA_CPU_NAME": "generic",
        "OPENBLAS_CORETYPE": "Prescott",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA,-FMA4",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    },
    "eight threads": {"OPENBLAS_NUM_THREADS": "8", "OMP_NUM_THREADS": "8"},
}


def test_the_shards_are_the_committed_ones(tmp_path: Path) -> None:
    made = shard_hashes.make(tmp_path)
    assert made == shard_hashes.read(), "run `python tests/shard_hashes.py` and commit the hashes if that is meant"
    assert len({path.split("/")[1] for path in made if path.startswith("features/")}) == len(shard_hashes.VIEWS)


@pytest.mark.slow
@pytest.mark.parametrize("cap", CAPS)
def test_they_are_so_under_the_cap(cap: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CAPS[cap].items():
        monkeypatch.setenv(name, value)
    assert shard_hashes.make(tmp_path) == shard_hashes.read()


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2, 8])
def test_they_are_so_with_any_number_of_processes(processes: int, tmp_path: Path) -> None:
    assert shard_hashes.make(tmp_path, f"--direct_num_workers={processes}") == shard_hashes.read()


@pytest.fixture
def one_core() -> Iterator[None]:
    """What this process starts may use a single core, as under `taskset`."""
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system does not tie processes to cores")
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.mark.slow
def test_they_are_so_on_one_core(one_core: None, tmp_path: Path) -> None:
    assert shard_hashes.make(tmp_path) == shard_hashes.read()


@pytest.mark.slow
def test_the_caps_of_numpy_take_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the cap, NumPy's own logarithm has other bits wherever the processor has what was taken away."""
    code = "import numpy; print(numpy.core._multiarray_umath.__cpu_features__['AVX2'])"
    monkeypatch.setenv("NPY_DISABLE_CPU_FEATURES", NUMPY_LEVELS["no AVX2"])
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
