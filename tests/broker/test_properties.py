"""What holds for every quote, whatever the catalog and the request."""

from __future__ import annotations

import re
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from gridnb.broker import Quote, Request, quote
from gridnb.catalog import Catalog
from gridnb.errors import RequestError
from gridnb.units import Money, parse_money
from tests.broker import strategies as draw_from

quick = settings(max_examples=80, deadline=None)


def attempt(
    request: Request, catalog: Catalog, taken: dict[str, int], left: Money | None
) -> Quote | str:
    """Return the quote, or the text of the refusal."""
    try:
        return quote(request, catalog, taken=taken, left=left)
    except RequestError as error:
        return str(error)


@quick
@given(st.data())
def test_no_hard_constraint_is_broken(data: st.DataObject) -> None:
    catalog, request, taken, left = _situation(data)
    answer = attempt(request, catalog, taken, left)
    if isinstance(answer, str):
        assert "\n" not in answer and ";" in answer
        return
    assert answer.cores >= request.cores and answer.memory >= (request.memory or 0)
    assert answer.gpus >= request.gpus
    assert request.workers in (None, answer.workers)
    for line in answer.lines:
        _check_line(line.site, line.offer, request, catalog)
    _check_room(answer, catalog, taken)
    _check_money(answer, request, left)


def _situation(data: st.DataObject) -> tuple[Catalog, Request, dict[str, int], Money | None]:
    catalog = data.draw(draw_from.catalogs())
    request = data.draw(draw_from.requests(catalog))
    return catalog, request, data.draw(draw_from.in_use), data.draw(draw_from.budgets)


def _check_line(site_name: str, offer_name: str, request: Request, catalog: Catalog) -> None:
    site = catalog.site(site_name)
    offer = site.offer(offer_name)
    assert not request.sites or site.name in request.sites
    assert not request.regions or site.region in request.regions
    assert not request.owners or site.owner in request.owners
    assert request.spot in (None, offer.spot)
    assert request.deadline is None or offer.start_delay < request.deadline


def _check_room(answer: Quote, catalog: Catalog, taken: dict[str, int]) -> None:
    for site in catalog.sites:
        lines = [line for line in answer.lines if line.site == site.name]
        used = taken.get(site.name, 0)
        for offer in site.offers:
            mine = sum(line.count for line in lines if line.offer == offer.name)
            known = taken.get(f"{site.name}/{offer.name}", 0)
            used += known
            assert not mine or mine + known <= offer.count
        count = sum(line.count for line in lines)
        assert not count or count + used <= site.capacity


def _check_money(answer: Quote, request: Request, left: Money | None) -> None:
    assert all(line.rate.currency == answer.currency for line in answer.lines)
    for limit in (request.max_cost, left):
        if limit is not None:
            assert answer.currency == limit.currency
            assert answer.upfront.amount <= limit.amount + Decimal("1e-8")
            assert answer.cap is not None and answer.cap <= limit
    assert answer.rate == Money(sum(line.rate.amount for line in answer.lines), answer.currency)


@quick
@given(st.data())
def test_every_site_is_in_a_line_or_refused_with_a_reason(data: st.DataObject) -> None:
    catalog, request, taken, left = _situation(data)
    answer = attempt(request, catalog, taken, left)
    if isinstance(answer, str):
        return
    refused = [each.site for each in answer.refused]
    assert sorted([*answer.sites, *refused]) == sorted(catalog.names)
    assert all(each.reason and "\n" not in each.reason for each in answer.refused)
    assert len({(line.site, line.offer) for line in answer.lines}) == len(answer.lines)


@quick
@given(st.data())
def test_the_same_question_has_the_same_answer(data: st.DataObject) -> None:
    catalog, request, taken, left = _situation(data)
    first = attempt(request, catalog, taken, left)
    backwards = dict(reversed(taken.items()))
    copy = Catalog.from_json(catalog.to_json())
    again = Request.from_json(request.to_json())
    assert attempt(again, copy, backwards, left) == first
    if isinstance(first, Quote):
        assert Quote.from_json(first.to_json()) == first
        assert Quote.from_json(first.to_json()).to_json() == first.to_json()


@quick
@given(st.data(), st.sampled_from([2, 7, 1000]))
def test_a_factor_on_all_prices_changes_no_choice(data: st.DataObject, factor: int) -> None:
    catalog, request, taken, left = _situation(data)
    dearer = _scaled(catalog, factor)
    cost = request.max_cost
    richer = request.model_copy(update={"max_cost": None if cost is None else cost * factor})
    before = attempt(request, catalog, taken, left)
    after = attempt(richer, dearer, taken, None if left is None else left * factor)
    assert isinstance(before, Quote) == isinstance(after, Quote)
    if isinstance(before, Quote) and isinstance(after, Quote):
        assert _choice(before) == _choice(after)


def _choice(answer: Quote) -> list[tuple[str, str, int]]:
    return [(line.site, line.offer, line.count) for line in answer.lines]


def _scaled(catalog: Catalog, factor: int) -> Catalog:
    prices = ("core_hour", "gib_hour", "gpu_hour", "per_start", "egress_gib")
    sites = []
    for site in catalog.sites:
        card = {name: getattr(site.rate_card, name) * factor for name in prices}
        offers = tuple(
            offer.model_copy(
                update={"price": None if offer.price is None else offer.price * factor}
            )
            for offer in site.offers
        )
        rate_card = site.rate_card.model_copy(update=card)
        sites.append(site.model_copy(update={"rate_card": rate_card, "offers": offers}))
    return Catalog(name=catalog.name, sites=tuple(sites))


@quick
@given(draw_from.catalogs(), st.integers(1, 40), st.none() | st.integers(1, 9), draw_from.budgets)
def test_the_request_that_a_refusal_names_can_be_met(
    catalog: Catalog, cores: int, workers: int | None, left: Money | None
) -> None:
    request = Request.of(cores=cores, workers=workers, spot=None)
    answer = attempt(request, catalog, {}, left)
    if isinstance(answer, Quote):
        return
    fewer = {
        f"{name}s": int(number)
        for number, name in re.findall(r"(?:for|and) at most (\d+) (core|worker)s?", answer)
    }
    if "of any size" in answer:
        fewer["cores"] = 1
    near = request.model_copy(update=fewer)
    more = re.search(r"raise the budget by ([0-9.,]+ [A-Z]+)", answer)
    enough = left
    if more:
        assert left is not None
        enough = Money(left.amount + parse_money(more[1]).amount, left.currency)
    if more and " and raise the budget by " not in answer:
        assert isinstance(attempt(request, catalog, {}, enough), Quote), answer
        enough = left
    if fewer:
        assert isinstance(attempt(near, catalog, {}, enough), Quote), answer
