"""A notebook as a batch job, with parameters, a budget, and a bill at its end.

The notebook is not changed: its executed copy has the parameters in a cell of its own, what it
put out, and what each cell has cost. ``gridnb run`` is the command line of it.
"""
