"""What a clip is and how it becomes numbers: audio, ids, splits, views, front end and statistics."""
