"""Tuning is measured at the first start and stored for the next ones."""

from pathlib import Path

from transcriber.engines import calibration
from transcriber.engines.calibration import Tuning


def test_the_smallest_candidate_of_about_the_least_cost_wins() -> None:
    costs = {1: 2.0, 4: 1.02, 8: 1.0, 16: 1.3}
    assert calibration.fastest(list(costs), costs.__getitem__) == 4


def test_measuring_ends_when_its_time_is_up() -> None:
    measured = []

    def cost(candidate: int) -> float:
        measured.append(candidate)
        return 1.0 / candidate

    assert calibration.fastest([1, 2, 3], cost, seconds=-1.0) == 1
    assert measured == [1]


def test_a_measurement_is_stored_beside_the_models(tmp_path: Path) -> None:
    one, other = calibration.machine("engine 1", "model"), calibration.machine("engine 2", "model")
    assert calibration.stored(tmp_path, one) is None
    calibration.store(tmp_path, one, Tuning(threads=2, batch_windows=8))
    calibration.store(tmp_path, other, Tuning(threads=1, batch_windows=4))
    assert calibration.stored(tmp_path, one) == Tuning(threads=2, batch_windows=8)
    assert calibration.stored(tmp_path, other) == Tuning(threads=1, batch_windows=4)


def test_a_damaged_measurement_is_repeated(tmp_path: Path) -> None:
    (tmp_path / calibration.FILE_NAME).write_text("[")
    assert calibration.stored(tmp_path, "key") is None
    calibration.store(tmp_path, "key", Tuning(1, 4))
    assert calibration.stored(tmp_path, "key") == Tuning(1, 4)


def test_a_read_only_folder_is_no_error(tmp_path: Path) -> None:
    calibration.store(tmp_path / "absent", "key", Tuning(1, 4))
    assert calibration.stored(tmp_path / "absent", "key") is None
