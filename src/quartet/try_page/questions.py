"""Type a question and see the answered ones that it may duplicate, and why."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import streamlit as st

from quartet.try_page.project import escape, load_model, open_project, report_errors

if TYPE_CHECKING:
    import pandas as pd

    from quartet.faq.explanation import Explanation
    from quartet.faq.matcher import Matcher

_MATCHES = 5
"""Number of answered questions that are shown."""
_EXAMPLES = 3
"""Number of questions that are offered as examples: the shortest ones."""
_LABEL_CHARACTERS = 60
_MIN_SHARE = 0.05
"""Minimum share of a word in the similarity; words with less are not shown."""
_SHOWN_CHARACTERS = 400
"""Characters of a text on the page; the answer is shown completely."""


def show() -> None:
    """Show the page of questions."""
    st.title("Ask a question")
    st.caption("See the answered questions that it may duplicate, and why.")
    with report_errors():
        champion = load_model("faq_ranker")
        duplicates = _load_duplicates()
        question = st.text_area("Your question", key="question", placeholder="Then Ctrl-Enter")
        _offer_examples(duplicates)
        if question.strip():
            _show_matches(champion.raw_model, question, duplicates)
        st.caption(f"Model `FAQ_ranker`, version {champion.version}.")


@st.cache_data(ttl=60, show_spinner=False)
def _load_duplicates() -> pd.DataFrame:
    """Return the duplicates: `AnswerId`, `text`, `part`; none if they are not on this machine."""
    import pandas as pd

    catalog = open_project().catalog
    if not catalog.exists("divided_duplicates"):
        return pd.DataFrame(columns=["AnswerId", "text", "part"], dtype=str)
    table: pd.DataFrame = catalog.load("divided_duplicates")
    return table


def _offer_examples(duplicates: pd.DataFrame) -> None:
    """Offer test duplicates: questions that the model was not trained on."""
    held_out = duplicates.loc[duplicates["part"] == "test", "text"]
    examples = sorted(held_out, key=len)[:_EXAMPLES]
    if not examples:
        return

    def take() -> None:
        if chosen := st.session_state.example:
            st.session_state.question = chosen

    def shorten(text: str) -> str:
        return escape(text if len(text) <= _LABEL_CHARACTERS else f"{text[:_LABEL_CHARACTERS]}…")

    st.pills("Or one of these", examples, format_func=shorten, key="example", on_change=take)


def _show_matches(matcher: Matcher, question: str, duplicates: pd.DataFrame) -> None:
    from quartet.faq.cleaning import normalise_text
    from quartet.faq.explanation import explain_match

    (cleaned,) = matcher.clean([question])
    if not cleaned:
        st.warning("The question contains no words.")
        return
    known = duplicates[duplicates["part"] != "test"]
    kind = "Probability" if matcher.is_tuned else "Similarity"
    for match in matcher.match([question], _MATCHES).itertuples():
        asked = known.loc[known["AnswerId"].astype(str) == str(match.AnswerId), "text"]
        texts = [str(match.original_text), *asked]
        explanation = explain_match(matcher, cleaned, list(map(normalise_text, texts)))
        with st.container(border=True):
            has_sentences = matcher.encoder.sentences is not None
            _show_match(match, kind, texts, explanation, has_sentences)


def _show_match(
    match: Any, kind: str, texts: list[str], explanation: Explanation, has_sentences: bool
) -> None:
    shares = [(word, share) for word, share in explanation.words if share >= _MIN_SHARE]
    words = [word for word, _ in shares]
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.markdown(f"**{match.rank}.** {_highlight(texts[0], words)}")
    right.metric(kind, f"{match.probability:.1%}")
    st.progress(min(1.0, max(0.0, float(match.probability))))
    if explanation.nearest:
        nearest = _highlight(texts[explanation.nearest], words)
        st.markdown(f"Nearest duplicate, similarity {explanation.similarity:.2f}: {nearest}")
    else:
        st.markdown(
            f"Nearest to it is this question itself, similarity {explanation.similarity:.2f}."
        )
    if words:
        shared = " ".join(f":orange-badge[{escape(word)} {share:.0%}]" for word, share in shares)
        st.markdown(f"Shared words, by their share of the similarity: {shared}")
    else:
        alike = "meaning" if has_sentences else "spelling"
        st.markdown(f"No shared words; the {alike} is similar.")
    with st.expander("Answer"):
        st.text(_to_text(str(match.answer)) or "There is no answer.")


def _highlight(text: str, words: list[str]) -> str:
    """Return Markdown of the start of a text, in which words are highlighted."""
    shown = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    if not words:
        return escape(shown)
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    parts = re.split(rf"(?<!\w)({pattern})(?!\w)", shown, flags=re.IGNORECASE)
    parts[::2] = map(escape, parts[::2])
    parts[1::2] = [f":orange-background[{escape(part)}]" for part in parts[1::2]]
    return "".join(parts)


def _to_text(answer: str) -> str:
    """Return the text of an answer that may be HTML, with its lines."""
    from lxml.html import fragment_fromstring

    from quartet.faq.markup import BLOCK_TAGS, reduce_markup

    markup = reduce_markup(answer) if "<" in answer else None
    if markup is None:
        return answer.strip()
    root = fragment_fromstring(markup, create_parent="div")
    for element in root.iterdescendants():
        if element.tag in BLOCK_TAGS and not (element.tail or "").startswith("\n"):
            element.tail = "\n" + (element.tail or "")
    return str(root.text_content()).strip()
