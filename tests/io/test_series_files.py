"""Series come back as written, and a log never holds a step twice."""

import jax.numpy as jnp
import numpy as np
import pytest

from nnqmc.errors import CheckpointError, InputError
from nnqmc.io import SeriesLog, load_series, save_series, save_tree


def filled(n_rows):
    log = SeriesLog()
    for step in range(1, n_rows + 1):
        row = {"energy": jnp.asarray(-step, jnp.float32), "bad": np.int32(step % 2), "chains": np.ones(2) * step}
        log.append(step, row)
    return log


def test_series_come_back_with_names_and_values(tmp_path):
    series = {"energy": np.asarray([-8.07, np.nan]), "terms/kinetic é.": np.ones((2, 3)), "n": np.arange(2)}
    save_series(tmp_path / "s.h5", series, {"seed": 1})
    loaded, attributes = load_series(tmp_path / "s.h5")
    assert attributes == {"seed": 1} and loaded.keys() == series.keys()
    for name, values in series.items():
        assert loaded[name].dtype == values.dtype
        np.testing.assert_array_equal(loaded[name], values)


def test_numbers_are_kept_in_64_bits(tmp_path):
    series = {"a": np.ones(2, np.float32), "b": jnp.ones(2), "c": np.asarray([True, False]), "d": [1, 2]}
    save_series(tmp_path / "s.h5", series, {})
    loaded, _ = load_series(tmp_path / "s.h5")
    assert [loaded[name].dtype.name for name in "abcd"] == ["float64", "float64", "int64", "int64"]


@pytest.mark.parametrize(
    "series",
    [{"a": np.ones(2), "b": np.ones(3)}, {"a": 1.0}, {"a": ["x"]}, {"": np.ones(1)}, {"a": [1j]}],
)
def test_what_is_no_series_is_refused(tmp_path, series):
    with pytest.raises(InputError, match=r"[Ss]eries"):
        save_series(tmp_path / "s.h5", series, {})
    assert list(tmp_path.iterdir()) == []


def test_a_log_continues_after_reading_as_if_nothing_had_happened(tmp_path):
    whole, part = filled(200), filled(130)
    save_series(tmp_path / "train.h5", part.arrays, {})
    resumed = SeriesLog(load_series(tmp_path / "train.h5")[0])
    assert len(resumed) == 130 and resumed.last_step == 130
    rows = whole.arrays
    for i in range(130, 200):
        resumed.append(int(rows["step"][i]), {name: rows[name][i] for name in ("energy", "bad", "chains")})
    for name, values in resumed.arrays.items():
        assert np.array_equal(values, rows[name]) and values.dtype == rows[name].dtype
    assert rows["step"].dtype == rows["bad"].dtype == np.int64 and rows["energy"].dtype == np.float64
    assert rows["chains"].shape == (200, 2)


def test_an_empty_log_can_be_saved_and_continued(tmp_path):
    for series in ({}, {name: values[:0] for name, values in filled(2).arrays.items()}):
        log = SeriesLog(series)
        assert len(log) == 0 and log.last_step is None and log.arrays == {}
        save_series(tmp_path / "train.h5", log.arrays, {})
        log = SeriesLog(load_series(tmp_path / "train.h5")[0])
        log.append(1, {"energy": 1.0})
        assert len(log) == 1 and log.arrays["step"].tolist() == [1]


@pytest.mark.parametrize(
    ("step", "row"),
    [
        (2, {"energy": 1.0, "n": 1}),
        (1, {"energy": 1.0, "n": 1}),
        (3, {"energy": 1.0}),
        (3, {"energy": 1.0, "n": 1, "more": 1}),
        (3, {"energy": np.ones(2), "n": 1}),
        (3, {"energy": 1.0, "n": 1, "step": 3}),
        (3, {"energy": "x", "n": 1}),
    ],
)
def test_a_row_that_does_not_follow_is_refused_and_changes_nothing(step, row):
    log = SeriesLog()
    log.append(2, {"energy": 1.0, "n": 1})
    with pytest.raises(InputError):
        log.append(step, row)
    assert len(log) == 1
    log.append(3, {"energy": 1, "n": True})
    assert log.arrays["energy"].dtype == np.float64 and log.arrays["n"].dtype == np.int64
    log.append(4, {"energy": 1, "n": 1.5})
    assert log.arrays["n"].tolist() == [1, 1, 1.5]


def test_arrays_are_copies():
    log = filled(1)
    log.arrays["energy"][0] = 7
    assert log.arrays["energy"][0] == -1


def test_other_files_are_no_series(tmp_path):
    save_tree(tmp_path / "tree.h5", {"a": np.ones(2), "b": np.ones(3)}, {})
    with pytest.raises(CheckpointError, match="no series of one length"):
        load_series(tmp_path / "tree.h5")
    save_tree(tmp_path / "tree.h5", {"a": np.ones(2, np.float32)}, {})
    with pytest.raises(CheckpointError, match="no series of one length"):
        load_series(tmp_path / "tree.h5")
    with pytest.raises(CheckpointError, match="No such file"):
        load_series(tmp_path / "missing.h5")
