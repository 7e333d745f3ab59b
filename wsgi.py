"""The WSGI application: ``gunicorn wsgi:app``."""

import sys

from negation_api import create_app
from negation_api.model.artefact import ModelError
from negation_api.model.classifier import load_classifier
from negation_api.settings import SettingError, Settings

try:
    settings = Settings.from_env()
    app = create_app(settings, load_classifier(settings))
except (SettingError, ModelError) as error:
    sys.exit(f"negation_api cannot start: {error}")
