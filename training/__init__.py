"""How shards become a model and a number: the stages train and evaluate."""
