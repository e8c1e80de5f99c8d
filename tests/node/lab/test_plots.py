import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from node.lab.plots import draw_plots
from node.lab.record import NodeRecord
from node.lab.report import build_report
from tests.node.lab.synthetic import NAMES, write_eventful_run, write_run


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


@pytest.fixture(scope="module")
def eventful(tmp_path_factory) -> dict[str, bytes]:
    return draw_plots(build_report(write_eventful_run(tmp_path_factory.mktemp("eventful"))))


@pytest.fixture(scope="module")
def quiet(tmp_path_factory) -> dict[str, bytes]:
    names = [f"press-in-hall-number-{number}" for number in range(8)]
    return draw_plots(build_report(write_run(tmp_path_factory.mktemp("quiet"), names)))


def test_every_plot_is_a_picture_with_ink_on_light_ground(eventful):
    assert list(eventful) == ["overview.png", "topology.png", "accuracy.png", "consensus.png", "traffic.png"]
    for png in eventful.values():
        grey = np.asarray(opened(png).convert("L"))
        assert np.median(grey) == 255
        assert 0.005 < (grey < 128).mean() < 0.3
    assert opened(eventful["overview.png"]).width >= 1400


def test_nothing_is_cut_off_where_names_are_long(quiet):
    for name, png in quiet.items():
        grey = np.asarray(opened(png).convert("L"))
        assert all((side == 255).all() for side in (grey[0], grey[-1], grey[:, 0], grey[:, -1])), name


def test_adversaries_stand_out(eventful, quiet):
    def vermilion(plots: dict[str, bytes]) -> int:
        picture = np.asarray(opened(plots["topology.png"]).convert("RGB")).astype(int)
        return int((np.abs(picture - (0xD5, 0x5E, 0x00)).sum(axis=2) < 20).sum())

    assert vermilion(quiet) == 0
    assert vermilion(eventful) > 100


def test_a_plot_without_data_is_left_out(tmp_path):
    write_run(tmp_path)
    for name in NAMES:
        (tmp_path / name / "journal.jsonl").unlink()
    assert list(draw_plots(build_report(tmp_path))) == ["overview.png", "topology.png"]


@pytest.mark.parametrize("names", [["only"], ["$frac{", "$", "a\nb", "\u202ex"], [f"n{i}" for i in range(40)]])
def test_strange_and_many_names(tmp_path, names):
    nodes = [NodeRecord(name=name) for name in names]
    assert draw_plots(build_report(write_run(tmp_path, names, 3, nodes=nodes, name="$\\frac{")))


def test_the_report_is_imported_without_matplotlib():
    code = "import sys, node.lab.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_drawing_touches_no_global_state():
    code = "import sys, node.lab.plots; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
