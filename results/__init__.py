"""What a trained model says: its description, its predictions and the figures that follow from them."""
