from __future__ import annotations

import pytest

from pika_locust.outputs.assets import UPLOT_SCRIPT, UPLOT_STYLE, asset


def test_uplot_is_here_with_its_licence_and_asks_nobody_for_anything() -> None:
    script = asset(UPLOT_SCRIPT)
    assert "uPlot (v1.6.32)" in script[:80]
    assert "import(" not in script
    assert "url(" not in asset(UPLOT_STYLE)
    assert "Permission is hereby granted" in asset("uPlot.LICENSE")


@pytest.mark.parametrize("name", ["missing.js", "../assets.py", "/etc/passwd", ".hidden"])
def test_nothing_else_can_be_asked_for(name: str) -> None:
    with pytest.raises(FileNotFoundError):
        asset(name)
