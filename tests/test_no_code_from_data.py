"""No room runs code that comes with data: nothing is unpickled, and saved models are read in safe mode alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from corpus_tools import ROOT
from test_layering import MAY_IMPORT, files_of, imports

RUN_CODE = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
"""Modules that run what they read."""
SAFE = {"allow_pickle": False, "safe_mode": True, "weights_only": True}
"""Options of calls that read files, and the value that runs no code."""
READS_NETWORKS = {
    "keras.saving.load_model": "safe_mode",
    "keras.models.load_model": "safe_mode",
    "torch.load": "weights_only",
}
"""Calls that need their option spelled out, since a process can change its default."""

FILES = sorted(path for room in MAY_IMPORT for path in files_of(room))


def calls(tree: ast.AST) -> list[tuple[str, dict[str | None, object]]]:
    """Each called function as it is written, and the constants among its options."""
    return [
        (
            ast.unparse(node.func),
            {each.arg: each.value.value for each in node.keywords if isinstance(each.value, ast.Constant)},
        )
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]


def faults(path: Path) -> list[str]:
    """What in a file would run code that comes with data."""
    found = [f"imports {name}" for name in imports(path) & RUN_CODE]
    for function, options in calls(ast.parse(path.read_text())):
        found += [
            f"{function}({key}={options[key]})" for key in SAFE.keys() & options if options[key] != SAFE[str(key)]
        ]
        if function in READS_NETWORKS and READS_NETWORKS[function] not in options:
            found.append(f"{function} without {READS_NETWORKS[function]}")
        if function in ("eval", "exec", "keras.config.enable_unsafe_deserialization", "yaml.unsafe_load"):
            found.append(function)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_runs_no_code_that_comes_with_data(path: Path) -> None:
    assert not faults(path)


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("import pickle", "imports pickle"),
        ("from joblib import load", "imports joblib"),
        ("np.load(path, allow_pickle=True)", "np.load(allow_pickle=True)"),
        ("keras.saving.load_model(path)", "keras.saving.load_model without safe_mode"),
        ("keras.saving.load_model(path, safe_mode=False)", "keras.saving.load_model(safe_mode=False)"),
        ("torch.load(path)", "torch.load without weights_only"),
        ("eval(text)", "eval"),
    ],
)
def test_what_would_run_code_is_found(code: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(code)
    assert faults(tmp_path / "module.py") == [fault]
