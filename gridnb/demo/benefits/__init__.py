"""The four benefits that grid computing promised in 2006, each measured beside the plain way.

- :mod:`~gridnb.demo.benefits.sharing`: resources are used more when several share them;
- :mod:`~gridnb.demo.benefits.power`: several sites compute faster than the best of them;
- :mod:`~gridnb.demo.benefits.availability`: there is room somewhere when a site is full;
- :mod:`~gridnb.demo.benefits.survival`: work goes on when a whole site is lost.

Work, processes, leases, terms and charges are real. The sites are simulated: a worker's speed is
modelled by holding its core for longer than the work takes, so that the workers of all sites together
(1.2 cores' worth) fit on a machine of two cores and do not slow each other down.
"""
