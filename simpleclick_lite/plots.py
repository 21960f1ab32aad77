"""Figure helpers of the notebooks: one look for all of them, and no plotting code pasted twice.

Colors tell the same things everywhere: positive clicks, negative clicks, masks. They come from
a palette that color-blind readers can tell apart, and clicks differ in their marker as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POSITIVE = "#009e73"  # green, drawn as a plus
NEGATIVE = "#d55e00"  # vermilion, drawn as a cross
MASK = "#0072b2"  # blue
STYLE = {
    "figure.dpi": 80,  # keeps a figure of a notebook near 60 KB
    "figure.constrained_layout.use": True,
    "image.interpolation": "nearest",
    "image.cmap": "gray",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "font.size": 9,
}


def show(figure: Figure, alt: str) -> None:
    """Show a finished figure once, with a text for readers who cannot see it.

    Args:
        figure: it is closed afterwards, so that it does not appear a second time.
        alt: what the figure shows and what to notice in it, in a sentence or two.

    Raises:
        ValueError: an empty text.
    """
    import matplotlib.pyplot as plt
    from IPython.display import display

    if not alt.strip():
        raise ValueError("say in `alt` what the figure shows")
    display(figure, metadata={"image/png": {"alt": alt}})
    plt.close(figure)
