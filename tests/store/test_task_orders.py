"""The order of tasks, and what their images look like."""

from datetime import UTC, datetime

import numpy as np
from sqlalchemy import null, update

from sam_backend.store.annotation_contents import AnnotationContents, Contents
from sam_backend.store.database import Database
from sam_backend.store.tables import ANNOTATION_CONTENTS
from sam_backend.store.task_features import TaskFeatures, TaskFeaturesStore
from sam_backend.store.task_orders import TaskOrder, TaskOrders

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
HOST = "http://label.example"


def test_an_order_takes_the_place_of_the_one_before(database: Database) -> None:
    orders = TaskOrders(database, HOST, 3)
    first = [TaskOrder(n, n / 1200, "because", {"gap": 0.5}, NOON) for n in range(1, 1200)]
    orders.replace(first)
    assert orders.all() == {one.task: one for one in first}
    second = [TaskOrder(5, 1.0, "rare", {}, NOON)]
    orders.replace(second)
    assert orders.all() == {5: second[0]}
    assert TaskOrders(database, HOST, 4).all() == {}


def test_features_are_of_one_encoder(database: Database) -> None:
    store = TaskFeaturesStore(database, HOST, 3)
    seen = np.array([0.5, -2.0, 1 / 3], np.float32)
    store.put(
        [
            TaskFeatures(1, "a", "x", seen, sizes={"image": (3, 4)}),
            TaskFeatures(2, "a", "y", None, "cannot be fetched"),
        ],
        NOON,
    )
    found = store.of("a")
    assert found[1].features is not None
    np.testing.assert_allclose(found[1].features, seen, rtol=1e-3)
    assert found[1].sizes == {"image": (3, 4)}
    assert (found[2].features, found[2].reason) == (None, "cannot be fetched")
    assert found[2].sizes == {}
    store.put([TaskFeatures(1, "b", "x", seen)], NOON)
    assert (store.of("a").keys(), store.of("b").keys()) == ({2}, {1})


def test_sizes_are_kept_beside_what_an_encoder_saw(database: Database) -> None:
    store = TaskFeaturesStore(database, HOST, 3)
    store.put_sizes(1, "x", {"image": (3, 4)}, NOON)
    store.put_sizes(1, "x", {"other": (5, 6)}, NOON)
    assert store.sizes(1, "x") == {"image": (3, 4), "other": (5, 6)}
    assert (store.sizes(1, "y"), store.sizes(2, "x"), store.of("a")) == ({}, {}, {})
    assert TaskFeaturesStore(database, HOST, 4).sizes(1, "x") == {}
    store.put_sizes(1, "y", {"image": (7, 8)}, NOON)  # the task has got another picture
    assert (store.sizes(1, "x"), store.sizes(1, "y")) == ({}, {"image": (7, 8)})
    seen = np.ones(3, np.float32)
    store.put([TaskFeatures(1, "a", "y", seen, sizes={"image": (7, 8)})], NOON)
    store.put_sizes(1, "y", {"other": (5, 6)}, NOON)
    store.put_sizes(1, "x", {"image": (3, 4)}, NOON)  # of an earlier version: not worth features
    (known,) = store.of("a").values()
    assert (known.image, known.sizes) == ("y", {"image": (7, 8), "other": (5, 6)})
    assert known.features is not None
    assert store.sizes(1, "x") == {}


def test_contents_are_kept_with_the_sizes_that_they_were_measured_on(database: Database) -> None:
    contents = AnnotationContents(database)
    told = (("malformed mask", "region a: broken"),)
    images = {"image": (4, 5), "other": None}
    first = Contents({"Leaf": 2}, {"small": 1}, told, images)
    contents.put({"d1": first, "d2": Contents({}, {})})
    assert contents.get(["d1", "d2", "d9"]) == {"d1": first, "d2": Contents({}, {})}
    assert first.fits({"image": (4, 5), "third": (1, 1)})
    assert not first.fits({"image": (4, 5), "other": (1, 1)})
    assert not first.fits({})
    contents.put({"d1": Contents({"Fruit": 1}, {"small": 1})})
    assert contents.get(["d1"])["d1"].labels == {"Fruit": 1}
    with database.writing() as connection:  # an earlier release has not kept them
        connection.execute(update(ANNOTATION_CONTENTS).values(images=null()))
    assert contents.get(["d1", "d2"]) == {}
