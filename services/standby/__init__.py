"""Two hosts for one shard: the owner's replicator sends its log, the standby copies it and may take over."""
