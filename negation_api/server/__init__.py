"""Gunicorn's worker: how requests are received and connections closed."""
