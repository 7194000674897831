"""`python -m pipelines.augment`: runs the stage."""

if __name__ == "__main__":
    from base import interruption

    interruption.answer()  # before the imports, which take seconds

    from pipelines.engine import start

    start.import_ahead("pipelines.augment.multiply", "pipelines.augment.copies", "features.loops")

    from base import command
    from pipelines.augment.augment import main

    command.run(main)
