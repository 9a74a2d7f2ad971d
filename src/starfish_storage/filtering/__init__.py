"""Which records of a run are meant: one language of conditions for commands, pages and programs.

`filter_records` streams the records of a run that fit, and `Condition` says what that is.
"""

from starfish_storage.filtering.condition import COMPARISONS, FACTS, MISSING, Condition, conditions_of, value_of
from starfish_storage.filtering.fitting import (
    Fitting,
    Looked,
    Sample,
    about_data_alone,
    filter_records,
    fitting,
    reviews_of,
    sample_of,
)
from starfish_storage.filtering.lines import on_one_line

__all__ = [
    "COMPARISONS",
    "FACTS",
    "MISSING",
    "Condition",
    "Fitting",
    "Looked",
    "Sample",
    "about_data_alone",
    "conditions_of",
    "filter_records",
    "fitting",
    "on_one_line",
    "reviews_of",
    "sample_of",
    "value_of",
]
