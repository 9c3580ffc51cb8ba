"""A card's words after many retrainings."""

from sam_backend.datasets.types import Dataset
from sam_backend.retraining import model_card

CARS, ROADS = Dataset("cars (project 1)", ()), Dataset("roads (project 2)", ())


def test_a_set_that_is_learned_from_again_is_told_once() -> None:
    told = "scenes"
    for data in (CARS, ROADS, CARS, CARS):
        told = model_card.training_data(told, data, data)
    assert told == (
        "scenes; then roads (project 2): 0 masks on 0 images"
        "; then cars (project 1): 0 masks on 0 images"
    )


def test_both_licences_bind_and_none_is_said_twice() -> None:
    told = model_card.licence("Apache-2.0", None)
    for datas in ("CC-BY-4.0", "CC-BY-4.0", "Apache-2.0; data: CC-BY-4.0"):
        told = model_card.licence(told, datas)
    assert told == "Apache-2.0; data: CC-BY-4.0"


def test_a_name_tells_the_last_data_alone() -> None:
    told = model_card.name(model_card.name("Starter", CARS), ROADS)
    assert told == "Starter, retrained on roads (project 2)"
