"""IAM's logic, as far as our policies use it.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
An explicit Deny wins, then any Allow, else the answer is no. A statement applies when
action, resource and every condition match; of a condition's values one has to match,
of a negated condition's none may. A key that the request lacks fails a condition, and
passes a negated one. What this does not know (``NotAction``, ``ForAllValues``,
``IfExists`` ...) raises, so that no policy passes unread.
"""

import re

OPERATORS = {
    "StringEquals": lambda given, wanted: given == wanted,
    "StringLike": lambda given, wanted: like(given, wanted),
    "ArnEquals": lambda given, wanted: like_arn(given, wanted),
    "ArnLike": lambda given, wanted: like_arn(given, wanted),
    "Bool": lambda given, wanted: given.lower() == wanted.lower(),
}
NEGATED = {"StringNotEquals": "StringEquals", "StringNotLike": "StringLike"}
MEMBERS = {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}


def like(given: str, pattern: str) -> bool:
    """Match ``*`` and ``?``, which take slashes and colons too.

    >>> like("refs/heads/x/main", "refs/*/main"), like("a", "A"), like("[a]", "[a]")
    (True, False, True)
    """
    parts = {"*": ".*", "?": "."}
    regex = "".join(parts.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(regex, given, re.DOTALL) is not None


def like_arn(given: str, pattern: str) -> bool:
    """Match an ARN part by part: a wildcard takes no colon before the sixth part.

    >>> like_arn("arn:aws:ecs:x:1:service/a", "arn:aws:ecs:*:service/a")
    False
    """
    pairs = list(zip(given.split(":", 5), pattern.split(":", 5)))
    return len(pairs) == 6 and all(like(*pair) for pair in pairs)


def as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def holds(conditions: dict, context: dict[str, str]) -> bool:
    """Evaluate a statement's conditions; keys know no case."""
    context = {key.lower(): value for key, value in context.items()}
    for operator, keys in conditions.items():
        compare = OPERATORS[NEGATED.get(operator, operator)]
        for key, wanted in keys.items():
            given = context.get(key.lower())
            found = given is not None and any(
                compare(given, each) for each in as_list(wanted)
            )
            if found == (operator in NEGATED):
                return False
    return True


def applies(statement: dict, action: str, resource: str, context: dict) -> bool:
    """Tell whether a statement speaks of this request."""
    if not statement.keys() <= MEMBERS:
        raise NotImplementedError(statement.keys() - MEMBERS)
    actions = as_list(statement["Action"])
    resources = as_list(statement.get("Resource", "*"))
    return (
        any(like(action.lower(), each.lower()) for each in actions)
        and any(like(resource, each) for each in resources)
        and holds(statement.get("Condition", {}), context)
    )


def allows(
    documents: list[dict], action: str, resource: str = "*", **context: str
) -> bool:
    """Tell whether policies together allow a request.

    :param context: keys of the request; ``__`` stands for the colon.
    """
    context = {key.replace("__", ":"): value for key, value in context.items()}
    effects = {
        statement["Effect"]
        for document in documents
        for statement in document["Statement"]
        if applies(statement, action, resource, context)
    }
    return effects == {"Allow"}
