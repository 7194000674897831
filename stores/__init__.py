"""What lies on disk between the rooms: records, shards, tables and the manifest that commits them."""
