"""negation_api: the assertion status of clinical entities over HTTP.

Importing the package costs nothing: what it is made of is loaded when asked for.
"""

from importlib import import_module

__version__ = "1.0.0"


def __getattr__(name: str):
    if name != "create_app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module("negation_api.http.app").create_app
