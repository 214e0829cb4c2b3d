"""What to buy: from a request to a quote, with a reason for every site that is not in it."""

from gridnb.broker.policies import Candidate, Need, Policy
from gridnb.broker.quote import Quote, QuoteLine, Refusal
from gridnb.broker.rank import quote
from gridnb.broker.request import Request

__all__ = [
    "Candidate",
    "Need",
    "Policy",
    "Quote",
    "QuoteLine",
    "Refusal",
    "Request",
    "quote",
]
