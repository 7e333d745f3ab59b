"""The service as a Flask application: routes, errors, keys, headers, metrics."""
