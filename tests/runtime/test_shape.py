from __future__ import annotations

import gc
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from locust import LoadTestShape

from pika_locust.load.stages import parse_stages
from pika_locust.runtime.pacing import PlanShape
from pika_locust.runtime.shape import StagesShape, foreign_shapes

ROOT = Path(__file__).resolve().parents[2]


Load = Callable[[Path], ModuleType]


@pytest.fixture(autouse=True)
def _forget_shapes() -> Iterator[None]:
    """Shapes are found among the living: those of one test must not meet another's."""
    yield
    gc.collect()
    assert StagesShape.loaded() == []


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    """Runs a shape file as Locust does."""

    def run(path: Path) -> ModuleType:
        spec = spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        monkeypatch.setitem(sys.modules, path.stem, module)
        spec.loader.exec_module(module)
        return module

    return run


class Driver:
    """Stands in for the coordinator."""

    def __init__(self) -> None:
        self.prepared = 0

    def prepare(self) -> None:
        self.prepared += 1

    def tick(self) -> tuple[int, float] | None:
        return (5, 2.0) if self.prepared == 1 else None


def test_the_plan_s_shape_asks_the_coordinator() -> None:
    driver = Driver()
    shape = PlanShape(driver)
    shape.reset_time()
    assert (driver.prepared, shape.tick()) == (1, (5, 2.0))
    shape.reset_time()
    assert shape.tick() is None


def test_locust_finds_no_shape_of_ours_in_a_locustfile_that_imports_them() -> None:
    assert PlanShape.abstract
    assert StagesShape.abstract
    assert PlanShape.use_common_options


@pytest.mark.parametrize("path", sorted((ROOT / "shapes").glob("*.py")), ids=lambda path: path.name)
def test_a_shape_file_holds_one_shape_of_its_own_name(path: Path, load: Load) -> None:
    shapes = [
        found for found in vars(load(path)).values() if isinstance(found, type) and not found.__dict__["abstract"]
    ]
    assert len(shapes) == 1
    profile = shapes[0].as_profile()
    assert profile.name == path.stem
    assert profile.stages == parse_stages(shapes[0].stages)
    assert profile.about
    assert shapes[0].source() == f"shapes/{path.name}"


def test_with_another_locustfile_it_is_an_ordinary_shape() -> None:
    class Evenly(StagesShape):
        stages = "10s:11,10s:0"

    shape: Any = Evenly()
    shape.runner = SimpleNamespace(user_count=3)
    for at_s, wanted in ((0.0, (1, 2.0)), (5.0, (6, 3.0)), (2.0, (3, 1.0)), (15.0, (6, 3.0)), (20.0, None)):
        shape.get_run_time = lambda now=at_s: now
        assert shape.tick() == wanted, at_s


def test_a_shape_without_a_name_goes_by_its_class() -> None:
    class Quiet(StagesShape):
        """A Monday."""

        stages = "10s:3"
        start_users = 0

    profile = Quiet.as_profile()
    assert (profile.name, profile.start_users, profile.about) == ("quiet", 0, "A Monday.")


BAD = {
    "stages that cannot be read": ("often:3", "'often' is not a duration"),
    "no stages": ("", "'' is not a stage"),
    "stages without time": ("0s:3", "its stages last 0 s in all"),
}


@pytest.mark.parametrize(("stages", "why"), BAD.values(), ids=BAD)
def test_stages_that_make_no_load_are_refused(stages: str, why: str) -> None:
    shape = type("Bad", (StagesShape,), {"stages": stages})
    with pytest.raises(ValueError) as caught:
        shape.as_profile()
    assert why in str(caught.value)
    del shape


def test_what_is_loaded_is_found_also_further_down_the_line() -> None:
    before = StagesShape.loaded()

    class Party(StagesShape):
        abstract = True

    class Small(Party):
        stages = "10s:3"

    class Large(Small):
        stages = "10s:30"

    assert [shape for shape in StagesShape.loaded() if shape not in before] == [Small, Large]
    del Party, Small, Large


def test_a_shape_of_another_kind_is_found_in_the_files_that_were_named(tmp_path: Path, load: Load) -> None:
    source = """
        from locust import LoadTestShape

        class Base(LoadTestShape):
            abstract = True

            def tick(self):
                return None

        class Wave(Base):
            pass
        """
    for name in ("wave.py", "unnamed.py"):
        (tmp_path / name).write_text(textwrap.dedent(source))
    wave, unnamed = load(tmp_path / "wave.py"), load(tmp_path / "unnamed.py")
    standard = load(ROOT / "shapes" / "standard.py")
    assert foreign_shapes([str(tmp_path / "wave.py"), standard.__file__ or ""]) == [wave.Wave]
    assert set(foreign_shapes([str(tmp_path)])) == {wave.Wave, unnamed.Wave}
    assert foreign_shapes([""]) == []
    assert issubclass(wave.Wave, LoadTestShape)
