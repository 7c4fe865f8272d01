"""Published models: versions, aliases, history."""
