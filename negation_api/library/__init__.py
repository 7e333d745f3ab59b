"""For Python: a model in this process, or a service elsewhere, asked alike."""
