"""What is asked about stores: what there is, whether it holds, and how two of them differ."""
