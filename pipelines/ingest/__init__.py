"""The stage `ingest`: raw archives to a store of one-second clips."""
