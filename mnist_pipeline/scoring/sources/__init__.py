"""Which images there are, and their bytes: from a folder, a list of paths or an object store."""
