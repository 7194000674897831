"""`python -m pipelines.corpus`: runs the stage."""

if __name__ == "__main__":
    from base import interruption

    interruption.answer()  # before the imports, which take a second

    from base import command
    from pipelines.corpus.corpus import main

    command.run(main)
