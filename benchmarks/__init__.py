"""How fast the pipelines are and how much memory they take, next to two ways in which users prepare features today."""
