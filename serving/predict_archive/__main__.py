"""`python -m serving.predict_archive`: runs the command."""

if __name__ == "__main__":
    from pipelines.engine import start

    start.import_ahead("serving.predict_archive.classify", "serving.model", "ai_edge_litert.interpreter")

    from base import command
    from serving.predict_archive.predict_archive import main

    command.run(main)
