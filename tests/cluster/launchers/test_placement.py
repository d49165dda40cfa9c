"""How many workers there are, and where: the same answer for the same room."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cluster.launchers.placement import largest, place


def test_the_largest_possible_size_is_taken_and_none_where_there_is_no_room() -> None:
    assert largest([1, 2, 4, 8], 7) == 4
    assert largest([1, 2, 4, 8], 8) == 8
    assert largest([3], 2) is None
    assert largest([2, 3], 0) is None


def test_few_hosts_are_filled_one_after_another_and_warm_ones_first() -> None:
    assert place(3, {"a": 1, "b": 2, "c": 8}) == {"c": [0, 1, 2]}
    assert place(3, {"a": 1, "b": 2}) == {"b": [0, 1], "a": [2]}
    assert place(2, {"a": 1, "b": 1, "c": 1}, warm={"c"}) == {"c": [0], "a": [1]}


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 8), min_size=1), st.data())
def test_every_rank_has_one_place_and_no_host_too_many(places: dict[str, int], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, sum(places.values())))
    placement = place(size, places)
    assert [rank for ranks in placement.values() for rank in ranks] == list(range(size))
    assert all(0 < len(ranks) <= places[host] for host, ranks in placement.items())
    assert placement == place(size, dict(reversed(places.items())))
