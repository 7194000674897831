"""`python -m pipelines.extract`: runs the stage."""

from base import command
from pipelines.extract.extract import main

if __name__ == "__main__":
    command.run(main)
