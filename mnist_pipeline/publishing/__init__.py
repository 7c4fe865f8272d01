"""Judge a candidate, publish it as a version, and promote it where the gate lets it."""
