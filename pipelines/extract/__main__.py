"""`python -m pipelines.extract`: runs the stage."""

if __name__ == "__main__":
    from base import interruption

    interruption.answer()  # before the imports, which take seconds

    from pipelines.engine import start

    start.import_ahead("pipelines.extract.featurize", "features.frontend")

    from base import command
    from pipelines.extract.extract import main

    command.run(main)
