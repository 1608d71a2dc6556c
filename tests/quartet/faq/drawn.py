"""What tests read off a figure that was drawn."""

import io


def drawn(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def texts(axis):
    return [text.get_text() for text in axis.texts]


def named(axis):
    return [label.get_text() for label in axis.get_yticklabels()]


def widths(axis):
    return [bar.get_width() for bar in axis.patches]


def line(axis, label):
    (found,) = [line for line in axis.lines if line.get_label().startswith(label)]
    return list(found.get_xdata()), list(found.get_ydata())
