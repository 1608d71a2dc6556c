"""Render figures and read their contents."""

import io


def render(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def read_texts(axis):
    return [text.get_text() for text in axis.texts]


def read_labels(axis):
    return [label.get_text() for label in axis.get_yticklabels()]


def read_widths(axis):
    return [bar.get_width() for bar in axis.patches]


def read_line(axis, label):
    (found,) = [line for line in axis.lines if line.get_label().startswith(label)]
    return list(found.get_xdata()), list(found.get_ydata())
