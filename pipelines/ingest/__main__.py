"""`python -m pipelines.ingest`: runs the stage."""

from base import command
from pipelines.ingest.ingest import main

if __name__ == "__main__":
    command.run(main)
