"""The stage `extract`, by its command line."""
from pathlib import Path
def test_x(finished: Path) -> None:
    pass
