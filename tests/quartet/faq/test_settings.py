"""Parameters that cannot be meant must be refused."""

import pytest
from pydantic import ValidationError

from quartet.faq.settings import TextFeatures


def test_character_runs_must_be_in_order():
    with pytest.raises(ValidationError, match="min_characters must not exceed"):
        TextFeatures(seed=1, min_characters=5, max_characters=4)
