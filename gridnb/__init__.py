"""gridnb: say what a notebook cell needs, and what it may cost."""
