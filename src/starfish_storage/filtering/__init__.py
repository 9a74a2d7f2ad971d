"""Which records of a run are meant: one language of conditions for commands, pages and programs.

`filter_records` streams the records of a run that fit, and `Condition` says what that is.
"""

from starfish_storage.filtering.condition import COMPARISONS, FACTS, Condition, conditions_of
from starfish_storage.filtering.fitting import Fitting, Sample, filter_records, fitting

__all__ = ["COMPARISONS", "FACTS", "Condition", "Fitting", "Sample", "conditions_of", "filter_records", "fitting"]
