"""A user must notice rejected rows, and no run may succeed on what little is left."""

import logging

import pytest

from quartet.datasets.accepted_share import check_accepted_share

EXAMPLE = "line 7: is not UTF-8: caf\udce9"


def test_warns_once_with_reasons_and_an_example(caplog: pytest.LogCaptureFixture) -> None:
    rejected = {"has no text": 2, "is not UTF-8": 3, "repeats an earlier Id": 0}
    with caplog.at_level(logging.WARNING):
        check_accepted_share("questions", 95, rejected, EXAMPLE, 0.5, report="unmatched_questions")
    (record,) = caplog.records
    assert record.getMessage() == (
        "questions: rejected 5 of 100 rows: is not UTF-8 (3); has no text (2); such as "
        "line 7: is not UTF-8: caf\\udce9; see unmatched_questions"
    )


@pytest.mark.parametrize("rejected", [{}, {"has no text": 0}])
@pytest.mark.parametrize("accepted", [0, 10])
def test_says_nothing_if_no_row_is_rejected(
    accepted: int, rejected: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    check_accepted_share("questions", accepted, rejected, "", 1.0)
    assert not caplog.records


def test_fails_below_the_minimum_with_all_reasons() -> None:
    rejected = {"has no text": 20, "is not UTF-8": 31}
    with pytest.raises(ValueError) as raised:
        check_accepted_share("questions", 49, rejected, EXAMPLE, 0.5)
    assert str(raised.value) == (
        "questions: accepted 49 of 100 rows (49.0%), expected at least 50%. Rejected: is not UTF-8 "
        "(31); has no text (20); such as line 7: is not UTF-8: caf\\udce9. Fix the data, or lower "
        "min_accepted_share"
    )


def test_exactly_the_minimum_is_enough(caplog: pytest.LogCaptureFixture) -> None:
    check_accepted_share("questions", 50, {"has no text": 50}, "line 1", 0.5)
    assert len(caplog.records) == 1


def test_fails_if_nothing_is_accepted_whatever_the_minimum() -> None:
    with pytest.raises(ValueError, match=r"^readings: accepted 0 of 3 readings .*Fix the data$"):
        check_accepted_share("readings", 0, {"has no time": 3}, "row 1", 0.0, unit="readings")


def test_error_names_the_five_most_frequent_reasons() -> None:
    rejected = {f"reason {number}": 10 - number for number in range(8)}
    with pytest.raises(ValueError, match=r"reason 4 \(6\); 3 more reasons; such as"):
        check_accepted_share("readings", 0, rejected, "row 1", 0.5)
