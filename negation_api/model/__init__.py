"""The model: its files, where they come from, how they are computed. The only torch."""
