"""The Streamlit script of `kedro try`: a page for each scenario."""

from __future__ import annotations

import streamlit as st

from quartet.try_page import digits, questions, sensors, style

# Without an icon of its own, Streamlit would load that of each page from the network.
_ICON = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect x="2" y="2" width="13" height="13" rx="3" fill="#e8590c"/>
<rect x="17" y="2" width="13" height="13" rx="3" fill="#3b5bdb"/>
<rect x="2" y="17" width="13" height="13" rx="3" fill="#2b8a3e"/>
<rect x="17" y="17" width="13" height="13" rx="3" fill="#f08c00"/>
</svg>"""

st.set_page_config(page_title="Quartet", page_icon=_ICON)
st.html("<style>.stMainBlockContainer { padding-top: 4.5rem }</style>")
st.navigation(
    [
        st.Page(questions.show, title="Questions", icon=":material/forum:", default=True),
        st.Page(digits.show, title="Digits", icon=":material/draw:", url_path="digits"),
        st.Page(style.show, title="Styles", icon=":material/palette:", url_path="styles"),
        st.Page(sensors.show, title="Sensors", icon=":material/sensors:", url_path="sensors"),
        # The default page has the path / only.
        st.Page(questions.show, title="Questions", url_path="questions", visibility="hidden"),
    ],
    position="top",
).run()
