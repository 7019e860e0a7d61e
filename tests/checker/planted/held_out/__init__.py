"""Mistakes of the same kinds that were not in sight while the diagnosis was written."""
