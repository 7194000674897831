"""`python -m pipelines.corpus`: runs the stage."""

from base import command
from pipelines.corpus.corpus import main

if __name__ == "__main__":
    command.run(main)
