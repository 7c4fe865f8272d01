"""Worker processes: what an image brings down is one of them alone."""
