"""GET /: try the service in a browser. A page of our own assets and no build step.

``PLAYGROUND=off`` leaves it out. The page calls ``/predict`` like any other client.
"""

from flask import Blueprint, render_template

from negation_api import __version__

bp = Blueprint(
    "playground",
    __name__,
    static_folder="static/playground",
    static_url_path="/playground",
)

# Its own script and style, calls to this service, and nothing else.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'; require-trusted-types-for 'script'"
)


@bp.get("/")
def playground():
    """Show the page; its script does the rest."""
    page = render_template("playground.html", version=__version__)
    return page, {"Content-Security-Policy": PAGE_POLICY}
