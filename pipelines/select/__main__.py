"""`python -m pipelines.select`: runs the stage."""

if __name__ == "__main__":
    from base import interruption

    interruption.answer()  # before the imports, which take seconds

    from pipelines.engine import start

    start.import_ahead()

    from base import command
    from pipelines.select.select import main

    command.run(main)
