"""What all tests share: one reproducible Hypothesis profile, and assertions of the shipped suites that show values."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("starfish_storage.testing")

# The same examples on every machine and in every run; `slow` tests ask for more of them themselves.
settings.register_profile("reproducible", derandomize=True, deadline=None, database=None, max_examples=50)
settings.load_profile("reproducible")
