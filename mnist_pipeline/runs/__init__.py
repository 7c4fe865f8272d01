"""Runs and their records: what ran, what travels between steps, what is reused, who trains now."""
