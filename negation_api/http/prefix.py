"""All routes below a path, for a proxy that keeps it (``URL_PREFIX``).

Whoever has no prefix, or strips it, needs no setting: pages link relatively.
"""


class Prefix:
    """Takes *prefix* off paths, and notes it as WSGI has it (PEP 3333)."""

    def __init__(self, app, prefix: str):
        self._app = app
        self._prefix = prefix

    def __call__(self, environ, start_response):
        path = environ["PATH_INFO"]
        if f"{path}/".startswith(f"{self._prefix}/"):
            environ["SCRIPT_NAME"] = self._prefix
            environ["PATH_INFO"] = path.removeprefix(self._prefix) or "/"
        return self._app(environ, start_response)
