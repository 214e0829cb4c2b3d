"""Figures, each beside that of a peer measured in the same run: ``python -m benchmarks``.

Every module here except :mod:`benchmarks.harness` is a benchmark: the first line
of its docstring says what it measures, and ``run(repeats, quick)`` returns its rows.
"""
