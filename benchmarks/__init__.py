"""How fast the pipelines are and how much memory they take, beside two ways in which users prepare features today."""
