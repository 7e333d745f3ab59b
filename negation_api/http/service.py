"""What the routes share: made once by the factory, kept by the application."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import Flask, current_app

from negation_api.inference.batching import Batcher
from negation_api.inference.cores import Cores
from negation_api.inference.connection_counts import ConnectionCounts
from negation_api.settings import Settings

if TYPE_CHECKING:  # needs packages that nothing else does
    from negation_api.http.tracing import Tracing


@dataclass
class Service:
    """The parts of one application, which all its workers inherit.

    :ivar draining: set in a worker that was told to go; read by ``/health``.
    """

    settings: Settings
    classifier: object
    batcher: Batcher
    cores: Cores
    connection_counts: ConnectionCounts
    tracing: "Tracing | None" = None
    draining: bool = False


def service_of(app: Flask) -> Service:
    """Give the parts of *app*."""
    return app.extensions["negation_api"]


def service() -> Service:
    """Give the parts of the application that answers this request."""
    return service_of(current_app)
