"""What is on offer: sites, offers, prices, links, and the files that list them."""

from gridnb.catalog.catalog import Catalog, DefaultLink
from gridnb.catalog.load import here, known, load
from gridnb.catalog.models import Link, Offer, RateCard, Site

__all__ = [
    "Catalog",
    "DefaultLink",
    "Link",
    "Offer",
    "RateCard",
    "Site",
    "here",
    "known",
    "load",
]
