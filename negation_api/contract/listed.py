"""A list of terms as a request gives it."""

from marshmallow import ValidationError, fields

from negation_api.contract.errors import Invalid
from negation_api.contract.shapes import Id, StrictSchema, Text
from negation_api.settings import Settings
from negation_api.text.terms import Finder, Term, common, faults, finder_of

COMMON = "common"  # in place of a list


class TermSchema(StrictSchema):
    """A term, and what you call it in your terminology."""

    term = Text(required=True, metadata={"description": "what is sought"})
    code = Id(metadata={"description": "UMLS, SNOMED CT, ICD-10, HPO: given back"})


_text, _term = Text(), TermSchema()


class TermsField(fields.Field):
    """Terms, each a string or with a code, or ``"common"``; a tuple once loaded."""

    def __init__(self, where: str):
        doc = f'terms, or `"{COMMON}"` for some 1,500 findings in plain words; {where}'
        super().__init__(metadata={"description": doc})

    def _deserialize(self, value, attr, data, **kwargs):
        if value == COMMON:
            return COMMON
        if not isinstance(value, list):
            raise ValidationError(f'Must be a list of terms, or "{COMMON}".')
        terms, wrong = [], {}
        for index, item in enumerate(value):
            try:
                terms.append(_load(item))
            except ValidationError as error:
                wrong[index] = error.normalized_messages()
        if wrong:
            raise ValidationError(wrong)
        return tuple(terms)


def _load(item) -> Term:
    if isinstance(item, dict):
        loaded = _term.load(item)
        return Term(loaded["term"], loaded["term"], loaded.get("code"))
    if not isinstance(item, str):
        raise ValidationError("Must be a string, or an object with term and code.")
    return Term(_text.deserialize(item), item)


Terms = tuple[Term, ...] | str  # as a TermsField loads them


def load_list(given, settings: Settings) -> Terms:
    """Load terms given in Python as a request has them, without making their finder.

    :raises Invalid: with all that is wrong.
    """
    try:
        terms = TermsField("").deserialize(given)
    except ValidationError as error:
        raise Invalid.of({"terms": error.normalized_messages()}) from None
    _check(terms, settings)
    return terms


def load_terms(terms: Terms, settings: Settings) -> Finder:
    """Make the finder of *terms*.

    :raises Invalid: with all terms that cannot be sought.
    """
    _check(terms, settings)
    return finder_of_list(terms)


def finder_of_list(terms: Terms) -> Finder:
    """Give the finder of *terms*, each of which can be sought."""
    return common() if terms == COMMON else finder_of(terms)


def _check(terms: Terms, settings: Settings) -> None:
    found = [] if terms == COMMON else list(faults(terms, settings.max_entity_chars))
    if found:
        raise Invalid(*[(("terms", index), detail) for index, detail in found])
