"""What only fitting needs: the epochs' batches and their augmentation, the loss, the checkpoint and the callbacks."""
