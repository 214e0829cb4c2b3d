"""Requests as people write them, quotes as people read them, and refusals that help."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from gridnb.broker import Candidate, Need, Quote, Request, policies, quote
from gridnb.catalog import Catalog, load
from gridnb.errors import RequestError
from gridnb.units import Money

BUDGET = Money(Decimal(5))


def ask(catalog: Catalog | None = None, left: Money | None = BUDGET, **what: Any) -> Quote:
    return quote(Request.of(**what), catalog or load("demo"), left=left)


def chosen(answer: Quote) -> list[tuple[str, str, int]]:
    return [(line.site, line.offer, line.count) for line in answer.lines]


def reasons(answer: Quote) -> dict[str, str]:
    return {each.site: each.reason for each in answer.refused}


def test_text_is_read() -> None:
    request = Request.of(
        memory="8 GiB", deadline="10 min", max_cost="2 gd", sites="beta, alpha,beta", owners=["X"]
    )
    assert (request.memory, request.deadline) == (8 * 2**30, 600.0)
    assert request.max_cost == Money(Decimal(2), "GD")
    assert request.sites == ("beta", "alpha") and request.owners == ("X",)
    assert str(request) == (
        "memory='8 GiB', sites='beta,alpha', owners='X', deadline='600s', max_cost='2.00 GD'"
    )
    assert str(Request()) == "cores=1" and Request.of() == Request()


def test_json_keeps_all_digits() -> None:
    request = Request.of(max_cost=Money(Decimal("0.123456789"), "GD"), deadline=0.1)
    assert Request.from_json(request.to_json()) == request
    answer = ask(cores=3, max_cost="0.333333333 GD")
    assert Quote.from_json(answer.to_json()) == answer


@pytest.mark.parametrize(
    ("what", "says"),
    [
        ({"coers": 1}, "coers: there is no such key; did you mean 'cores'"),
        ({"cores": 0}, "cores: 0 will not do; write a whole number of at least 1"),
        ({"cores": "four"}, "cores: 'four' will not do"),
        ({"cores": True}, "cores: True will not do"),
        ({"memory": "8 XB"}, "memory: '8 XB' is not a size; write it like '8 GiB'"),
        ({"deadline": 0}, "deadline: 0 will not do; write a time above 0"),
        ({"deadline": "soon"}, "deadline: 'soon' is not a time"),
        ({"max_cost": 5}, "max_cost: 5 is not an amount of money; write a number and a currency"),
        ({"max_cost": "-1 GD"}, "max_cost: .*-1.* is negative"),
        ({"optimize": "cheap"}, "optimize: 'cheap' is not a policy; write 'cost' or 'time'"),
        ({"sites": 3}, "sites: 3 will not do; write names"),
    ],
)
def test_requests_that_are_not_well_formed(what: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError, match=f"^request: {says}") as caught:
        Request.of(**what)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"x": 1}'])
def test_json_that_is_no_request_or_quote(text: str) -> None:
    with pytest.raises(RequestError, match="^request: "):
        Request.from_json(text)
    with pytest.raises(RequestError, match="^quote: "):
        Quote.from_json(text)


def test_the_cheapest_and_the_fastest() -> None:
    assert chosen(ask(cores=4)) == [("gamma", "node", 2), ("epsilon", "basic", 2)]
    assert chosen(ask(cores=4, optimize="time")) == [("alpha", "standard", 4)]
    assert chosen(ask(spot=None)) == [("beta", "spot", 1)]


def test_a_worker_larger_than_needed_is_not_cheap() -> None:
    assert chosen(ask(sites="delta,zeta")) == [("zeta", "standard", 1)]
    assert chosen(ask(sites="delta,zeta", cores=2)) == [("delta", "duo", 1)]


def test_exactly_so_many_workers() -> None:
    assert ask(workers=5).workers == 5
    answer = ask(workers=2, cores=3)
    assert (answer.workers, answer.sites) == (2, ("gamma", "delta"))


def test_offers_of_a_site_share_its_places() -> None:
    offer = {"cores": 1, "memory": "1 GiB", "count": 3}
    offers = [{"name": "a", "price": 1, **offer}, {"name": "b", "price": 2, **offer}]
    alpha = {"name": "alpha", "provider": "simulated", "max_workers": 4, "offers": offers}
    full = Catalog.of({"name": "test", "sites": [alpha]})
    assert chosen(ask(full, cores=4)) == [("alpha", "a", 3), ("alpha", "b", 1)]
    with pytest.raises(RequestError, match="5 cores asked for, 4 cores free at alpha"):
        ask(full, cores=5)


def test_a_small_budget_buys_what_it_can() -> None:
    rich, poor = ask(cores=4, optimize="time"), ask(cores=4, optimize="time", max_cost="0.3 GD")
    assert rich.sites == ("alpha",) and "alpha" in poor.sites
    assert poor.upfront <= Money(Decimal("0.3")) < rich.upfront


def test_the_cap_is_the_least_of_the_three() -> None:
    assert ask().cap == BUDGET
    assert ask(max_cost="2 GD").cap == Money(Decimal(2))
    assert ask(sites="gamma", deadline="1 h").cap == Money(Decimal("0.06"))
    assert ask(left=None).cap is None


def test_a_minimum_and_a_start_are_paid_at_once() -> None:
    answer = ask(sites="delta", deadline="10 min")
    assert answer.upfront == Money(Decimal("0.002") + Decimal("0.2") / 6 + Decimal("6e-10"))
    assert ask(sites="alpha", deadline="31s").upfront == Money(Decimal("0.003583334"))


def test_reasons_in_words() -> None:
    answer = quote(Request.of(regions="eu"), load("demo"), taken={"gamma": 2}, left=BUDGET)
    assert answer.sites == ("beta",)
    assert reasons(answer) == {
        "alpha": "dearer: 0.22 GD per core-hour at full speed, against 0.15 GD",
        "gamma": "full: 2 of 2 workers in use",
        "delta": "in us-east, not in eu",
        "epsilon": "in us-west, not in eu",
        "zeta": "in ap-southeast, not in eu",
    }
    assert reasons(ask(optimize="time"))["beta"] == "slower: speed 0.8 against 1"
    assert reasons(ask(sites="delta,zeta"))["delta"].startswith("larger than is needed: 2 cores")


def test_workers_in_use_by_offer() -> None:
    what = Request.of(sites="beta", workers=2)
    answer = quote(what, load("demo"), taken={"beta/standard": 2, "beta": 0})
    assert chosen(answer) == [("beta", "standard", 2)]
    with pytest.raises(RequestError, match="2 workers asked for, 1 worker free at beta; ask for"):
        quote(what, load("demo"), taken={"beta/standard": 2, "beta/spot": 1})


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (
            {"cores": 64},
            "64 cores asked for, 23 cores free at alpha, .*; ask for at most 23 cores$",
        ),
        ({"gpus": 1}, "1 GPU asked for, no GPUs free at .*; ask for no GPUs$"),
        (
            {"memory": "99 GiB"},
            "99.00 GiB of memory asked for, 15.25 GiB .*ask for at most 15.25 GiB",
        ),
        ({"workers": 2, "cores": 9}, "2 workers cannot bring all of it .*; ask for 8 workers"),
        ({"cores": 8, "max_cost": "0.1 GD"}, "costs 0.30 GD and max_cost leaves 0.10 GD; allow"),
        ({"max_cost": "0.001 GD"}, "its first term costs 0.03 GD and max_cost leaves 0.001 GD"),
        (
            {"max_cost": "1 USD"},
            "max_cost: 1.00 USD is not in the currency of the budget; write it",
        ),
        ({"sites": "alpa"}, "sites: there is no site 'alpa'; did you mean 'alpha'"),
        ({"regions": "eu-nort"}, "regions: there is no region 'eu-nort'; did you mean 'eu-north'"),
        (
            {"owners": "Nordlicht"},
            "owners: there is no owner 'Nordlicht'; did you mean 'Nordlicht C",
        ),
        ({"deadline": "10s"}, "starts too late: in 30 s, .*; allow a deadline of at least 31 s"),
        ({"spot": True, "sites": "alpha"}, r"alpha \(not spot\); leave spot out"),
        ({"sites": "alpha", "regions": "us"}, "leave sites out, or add 'epsilon'"),
    ],
)
def test_what_cannot_be_met_names_the_nearest_that_can(what: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError, match=says) as caught:
        ask(**what)
    assert "\n" not in str(caught.value)


def test_all_full() -> None:
    demo = load("demo")
    with pytest.raises(RequestError, match="4 of 4 workers in use.*release a lease"):
        quote(Request(), demo, taken={site.name: site.capacity for site in demo.sites})


def test_one_currency_a_quote_and_free_sites_in_any() -> None:
    offers = [{"name": "x", "cores": 1, "memory": "1 GiB"}]
    sites = [
        {"name": "here", "provider": "local", "offers": offers},
        {"name": "us", "provider": "cloud", "currency": "USD", "rate_card": {"core_hour": 1}},
        {"name": "eu", "provider": "cloud", "currency": "EUR", "rate_card": {"core_hour": 1}},
    ]
    mixed = Catalog.of({"name": "mixed", "sites": [{"offers": offers, **site} for site in sites]})
    answer = ask(mixed, left=Money(Decimal(9), "EUR"), cores=2)
    assert answer.sites == ("here", "eu") and answer.currency == "EUR"
    assert reasons(answer) == {"us": "charges in USD, and this is paid for in EUR"}
    assert ask(mixed, left=None, cores=2).sites == ("here", "us")
    assert ask(mixed, left=None, sites="eu").currency == "EUR"
    free = ask(mixed, left=Money(Decimal(0), "EUR"))
    assert free.sites == ("here",) and free.free and "free" in free.headline


def test_a_quote_is_readable() -> None:
    answer = ask(cores=4)
    text = str(answer)
    assert text.splitlines()[0] == (
        f"Quote {answer.id}: 4 workers, 4 cores · 0.25 GD per hour · cost ≤ 5.00 GD · "
        "ready in 3 min 00 s · simulated money and time"
    )
    assert "  2 × gamma node (University of Seewald): 1 core, 1.00 GiB, speed 0.6 each" in text
    console = Console(width=140)
    with console.capture() as captured:
        console.print(answer)
    drawn = captured.get()
    assert all(name in drawn for name in load("demo").names) and "$" not in drawn + text


def test_policies_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    class Point:
        name = "last"

        def load(self) -> policies.Policy:
            def last(candidates: Sequence[Candidate], need: Need) -> list[Candidate]:
                return sorted(candidates, key=lambda each: each.key, reverse=True)

            return last

    monkeypatch.setattr(policies, "_others", lambda: {"last": Point()})
    assert policies.names() == ("cost", "time", "last")
    answer = ask(optimize="last")
    assert answer.sites == ("zeta",)
    assert reasons(answer)["alpha"] == "ranked lower by the policy 'last'"
