"""The stage `extract`: a store of clips and a selection to a store of features."""
