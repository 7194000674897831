"""How a corpus becomes shards: the stages corpus, ingest, select and extract."""

import logging


def _is_relevant(record: logging.LogRecord) -> bool:
    """Beam warns at each import that it can't reach BigQuery, which nothing here uses."""
    return "apitools not found" not in record.getMessage()


logging.getLogger().addFilter(_is_relevant)
