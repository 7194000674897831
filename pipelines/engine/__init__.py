"""How a stage runs on Beam: its options, its runner, and the map over shards that can be interrupted and resumed."""
