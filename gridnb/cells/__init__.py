"""A cell's journey to a site and back: capture, one pickle, the cell process, the return.

Kernel side: :mod:`~gridnb.cells.call` (send a run, hear it), :mod:`~gridnb.cells.pack` (what
travels), :mod:`~gridnb.cells.outcome` (what came back). Site side: :mod:`~gridnb.cells.process`
(the warm process), :mod:`~gridnb.cells.execute` (one run in it). Both: frames, pickles, nodes.
"""
