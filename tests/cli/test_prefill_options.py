"""What the options of `preannotate` say to prefilling."""

import pytest

from sam_backend.cli.prefill_options import read_settings


@pytest.mark.parametrize(
    ("options", "settings"),
    [
        ({}, {}),
        ({"proposer": "existing"}, {"proposer": "existing"}),
        ({"like": ["Car"]}, {"proposer": "similar", "parameters": {"like": ["Car"]}}),
        (
            {"like": ["12/34"], "given": ['parameters={"points": 50}']},
            {"proposer": "similar", "parameters": {"points": 50, "like": ["12/34"]}},
        ),
        (
            {"like": ["Car"], "given": ["parameters=3"]},
            {"proposer": "similar", "parameters": 3},  # refused later, by name
        ),
    ],
)
def test_proposer_and_exemplars(options: dict, settings: dict[str, object]) -> None:
    assert read_settings(**{"given": None, **options}) == settings
