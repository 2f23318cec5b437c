"""Search terms: normalization of names, spoken words and queries."""

from .queries import Condition, Query, Stems, parsed, tsquery
from .terms import DICTIONARIES, GRAM, marker, name_grams, shown, spoken_terms, wanted_grams

__all__ = [
    "DICTIONARIES",
    "GRAM",
    "Condition",
    "Query",
    "Stems",
    "marker",
    "name_grams",
    "parsed",
    "shown",
    "spoken_terms",
    "tsquery",
    "wanted_grams",
]
