"""The stream test: how often a model misses words in hours of audio, and how often it hears some that nobody said."""
