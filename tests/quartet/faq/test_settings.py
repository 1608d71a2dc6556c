"""Invalid parameters must be rejected."""

import pytest
from pydantic import ValidationError

from quartet.faq.settings import TextFeatures


def test_min_characters_must_not_exceed_max_characters():
    with pytest.raises(ValidationError, match="min_characters must not exceed"):
        TextFeatures(seed=1, min_characters=5, max_characters=4)
