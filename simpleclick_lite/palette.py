"""The colors of every figure and of the click tool, safe for color blindness (Okabe and Ito)."""

POSITIVE = "#009E73"  # bluish green: positive clicks, drawn as circles
NEGATIVE = "#D55E00"  # vermilion: negative clicks, drawn as crosses
MASK = "#0072B2"  # blue: predicted masks
TRUTH = "#F0E442"  # yellow: what an annotator drew
GRAY = "#7F7F7F"  # ignored pixels, lines, second thoughts
LIGHT = "#E8EEF2"  # background of boxes
ACCENT = "#E69F00"  # orange: the part that a figure is about
# for curves and bars, in this order; each also gets its own line style
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
