"""Two of schemathesis' checks, less what OpenAPI has no words for.

Loaded by schemathesis (SCHEMATHESIS_HOOKS), which test_conformance.py runs.
"""

import re

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.specs.openapi.checks import (
    negative_data_rejection,
    positive_data_acceptance,
)

# What a request may be refused for although its schema allows it: one value depends
# on another, or is limited by a setting.
BEYOND_SCHEMAS = re.compile(
    r"Must be above start, \d+; given \d+\."
    r"|At most \d+, the text's length; given \d+\."
    r"|\d+ is inside a character\."
    r"|Is the id of (entity \d+|an earlier document) too\."
    r"|Must hold exactly 2 \[entity\] markers or none; given \d+\."
    r"|Must have an entity between the two \[entity\] markers\."
    r"|Must not be blank\."
    r"|Must hold more than blanks\."
    r"|Must hold a letter or a digit\."
    r"|Has another code than the same term at \d+\."
    r"|(Does not stand|Stands) there in .*"
    r"|Holds a NUL character, at \d+\."
    r"|Holds half of a surrogate pair, at \d+\."
    r"|The (entity|sentence) has (at least )?\d+ tokens.*; at most \d+ fit\."
    r"|At most \d+ \w[\w ,]*; given \d+( or more)?\."
)


@schemathesis.check
def what_is_invalid_is_refused(ctx, response, case):
    """The request is, or the document that is invalid, in its place."""
    try:
        negative_data_rejection(ctx, response, case)
    except AcceptedNegativeData:
        documents = response.json().get("documents", [])
        if not any("error" in document for document in documents):
            raise


@schemathesis.check
def what_is_valid_is_refused_only_for_what_no_schema_says(ctx, response, case):
    try:
        positive_data_acceptance(ctx, response, case)
    except RejectedPositiveData:
        errors = response.json().get("errors", [])
        details = [error["detail"] for error in errors]
        if not details or not all(map(BEYOND_SCHEMAS.fullmatch, details)):
            raise
