"""The stage `corpus`: the raw archive, synthesized, downloaded or local."""
