"""The pipelines make the committed bytes wherever this runs, and under caps that stand for other processors."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import shard_hashes

NO_AVX_512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL"
NO_AVX_2 = f"AVX2 FMA3 {NO_AVX_512}"
CAPS = {
    "Haswell: no AVX-512": {
        "NPY_DISABLE_CPU_FEATURES": NO_AVX_512,
        "OPENBLAS_CORETYPE": "Haswell",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW",
        "NUMBA_CPU_NAME": "haswell",
        "DNNL_MAX_CPU_ISA": "AVX2",
    },
    "Sandy Bridge: no AVX2, no FMA": {
        "NPY_DISABLE_CPU_FEATURES": NO_AVX_2,
        "OPENBLAS_CORETYPE": "Sandybridge",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA,-FMA4",
        "NUMBA_CPU_NAME": "sandybridge",
        "DNNL_MAX_CPU_ISA": "AVX",
    },
    "any x86-64, one thread": {
        "NPY_DISABLE_CPU_FEATURES": f"SSE41 POPCNT SSE42 AVX F16C {NO_AVX_2}",
        "OPENBLAS_CORETYPE": "Prescott",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA,-FMA4,-AVX",
        "NUMBA_CPU_NAME": "generic",
        "DNNL_MAX_CPU_ISA": "SSE41",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    },
    "eight threads": {"OPENBLAS_NUM_THREADS": "8", "OMP_NUM_THREADS": "8"},
}
"""Variables that hold NumPy, OpenBLAS, the C library, Numba and oneDNN to what a processor has."""


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
    monkeypatch.setenv("NPY_DISABLE_CPU_FEATURES", NO_AVX_2)
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
