"""`python -m pipelines.ingest`: runs the stage."""

if __name__ == "__main__":
    from base import interruption

    interruption.answer()  # before the imports, which take seconds

    from pipelines.engine import start

    start.import_ahead("pipelines.ingest.scatter", "pipelines.ingest.seal", "features.loops")

    from base import command
    from pipelines.ingest.ingest import main

    command.run(main)
