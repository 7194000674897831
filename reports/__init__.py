"""Pages and pictures for people: the data card, the evaluation report, and the look that they share."""
