"""`python -m pipelines.select`: runs the stage."""

from base import command
from pipelines.select.select import main

if __name__ == "__main__":
    command.run(main)
