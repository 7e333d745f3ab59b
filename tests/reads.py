"""What the model reads for the entity that stands between ``<`` and ``>``."""

from negation_api.text.sentences import SegmentedText
from negation_api.text.spans import Span


def entity(text: str) -> tuple[str, Span]:
    """Take the brackets off *text*, and give the span of what is in them."""
    before, _, rest = text.partition("<")
    inside, _, after = rest.partition(">")
    return before + inside + after, Span(len(before), len(before) + len(inside))


def reads(text: str) -> str:
    """Give what is read, the entity in ``<`` and ``>`` again."""
    plain, span = entity(text)
    before, inside, after = (
        SegmentedText(plain).mark(span, headed=True).split("[entity]")
    )
    return f"{before}<{inside.strip()}>{after}"
