"""How features become a trained model and its predictions: the stages train and evaluate."""
