"""Filters as people give them."""

import pytest

from sam_backend.errors import InvalidInputError
from sam_backend.labelstudio.api.project_tasks import read_filter

ITEM = {"filter": "filter:tasks:id", "operator": "less", "type": "Number", "value": 10}


@pytest.mark.parametrize("text", ['{"conjunction": "or", "items": [%s]}', "[%s]"])
def test_a_filter_or_its_items(text: str) -> None:
    item = '{"filter": "filter:tasks:id", "operator": "less", "type": "Number", "value": 10}'
    told = read_filter(text % item)
    assert told["items"] == [ITEM]
    assert told["conjunction"] == ("or" if "or" in text else "and")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id<10", "the filter is no JSON"),
        ("3", "a filter is .* not 3"),
        ('{"items": 3}', "a filter is"),
        ('[{"operator": "less"}]', "a filter is"),
    ],
)
def test_wrong_filters_are_named(text: str, says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        read_filter(text)
