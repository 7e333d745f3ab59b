"""Commands of ``python -m negation_api`` that belong to no other layer."""
