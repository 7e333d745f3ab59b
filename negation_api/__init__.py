"""negation_api: the assertion status of clinical entities, over HTTP or in Python.

Importing the package costs nothing: what it is made of is loaded when asked for. ::

    model = negation_api.load()
    model.predict("Denies fever.", [(7, 12)])

What is promised of it is in ``docs/python.md``.
"""

from importlib import import_module

__version__ = "1.0.0"

_PLACES = {
    "create_app": "http.app",
    "load": "library.local",
    "Model": "library.local",
    "Client": "library.client",
    "ServiceError": "library.client",
    "Answer": "library.answers",
    "Choice": "contract.labels",
    "Cue": "library.answers",
    "Invalid": "contract.errors",
    "ModelError": "model.artefact",
    "SettingError": "settings",
}
__all__ = [  # a list that tools can read
    "Answer",
    "Choice",
    "Client",
    "Cue",
    "Invalid",
    "Model",
    "ModelError",
    "ServiceError",
    "SettingError",
    "create_app",
    "load",
]

TYPE_CHECKING = False  # as type checkers know it; typing is not loaded for it
if TYPE_CHECKING:
    from negation_api.contract.errors import Invalid
    from negation_api.contract.labels import Choice
    from negation_api.http.app import create_app
    from negation_api.library.answers import Answer, Cue
    from negation_api.library.client import Client, ServiceError
    from negation_api.library.local import Model, load
    from negation_api.model.artefact import ModelError
    from negation_api.settings import SettingError


def __getattr__(name: str):
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"negation_api.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PLACES])
