"""What people ask of finished stores: list, describe, verify, diff, validate, card, sample and export."""
