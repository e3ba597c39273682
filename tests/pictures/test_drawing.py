"""Pictures of photos with their maps."""

from __future__ import annotations

import numpy as np

from anogan.pictures.drawing import BRIGHTEST, FAINTEST, LONGEST_SIDE, OUTLINE, heat_layer, overlay, picture


def test_a_good_photo_stays_as_it_is_and_a_defect_is_hot() -> None:
    photo = np.random.default_rng(0).uniform(-1, 1, (3, 60, 80)).astype(np.float32)
    assert np.array_equal(overlay(photo, np.full((15, 20), FAINTEST, np.float32)), picture(photo))
    anomaly_map = np.zeros((60, 80), np.float32)
    anomaly_map[20:30, 40:50] = BRIGHTEST
    drawn, plain = overlay(photo, anomaly_map).astype(int), picture(photo).astype(int)
    changed = np.abs(drawn - plain).max(2) > 0
    assert changed[20:30, 40:50].all()
    assert changed.sum() == 100
    assert (drawn[20:30, 40:50, 0] - drawn[20:30, 40:50, 2]).min() > 90, "red, whatever is below it"


def test_a_layer_of_heat_is_transparent_where_a_part_is_good() -> None:
    anomaly_map = np.array([[0, FAINTEST, (FAINTEST + BRIGHTEST) / 2, BRIGHTEST, 9]], np.float32)
    layer = heat_layer(anomaly_map)
    assert layer[..., 3].tolist() == [[0, 0, 128, 255, 255]]
    photo = np.full((1, 1, 5), -1, np.float32)
    assert np.array_equal(overlay(photo, anomaly_map)[0, 4], np.rint(0.7 * layer[0, 4, :3]).astype(np.uint8))


def test_a_box_is_outlined_around_its_pixels() -> None:
    photo = np.full((1, 60, 80), -1, np.float32)
    drawn = overlay(photo, np.zeros((6, 8), np.float32), [(30, 20, 10, 12)])
    rows, columns = np.nonzero((drawn == OUTLINE).all(2))
    assert not drawn[20:32, 30:40].any(), "not over the box"
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (27, 42, 17, 34)
    overlay(photo, np.zeros((6, 8), np.float32), [(0, 0, 80, 60)])  # no room for it around the whole photo


def test_a_large_photo_is_drawn_smaller_with_its_boxes() -> None:
    photo = np.full((1, 2400, 3200), -1, np.float32)
    drawn = overlay(photo, np.zeros((6, 8), np.float32), [(1600, 1200, 400, 400)])
    assert drawn.shape == (LONGEST_SIDE * 3 // 4, LONGEST_SIDE, 3)
    rows, columns = np.nonzero((drawn == OUTLINE).all(2))
    assert abs(columns.min() - 800) < 12
    assert abs(rows.max() - 800) < 12
