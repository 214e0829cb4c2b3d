"""The four benefits that grid computing promised in 2006, each measured beside the plain way.

- :mod:`~gridnb.demo.benefits.sharing`: resources are used more when several share them;
- :mod:`~gridnb.demo.benefits.power`: several sites compute faster than the best of them;
- :mod:`~gridnb.demo.benefits.availability`: there is room somewhere when a site is full;
- :mod:`~gridnb.demo.benefits.survival`: work goes on when a whole site is lost.

Processes, leases, terms and charges are real, and so are data and answers. The sites are
simulated. The pieces of work wait 0.15 seconds for their data, as for a remote archive, and then
compute for some hundredths: so six workers find room on a machine of two cores, and more
workers really are faster.
"""
