"""The results page: models side by side, by accuracy and cost."""
