"""A site that was built before is built again when the code changes that its pages run."""

import importlib.util

import pytest

from tests.docs.pages import DOCS
from tests.docs.tools import missing


@pytest.fixture
def conf():
    if importlib.util.find_spec("sphinx") is None:
        missing("Sphinx comes with the extra docs")
    spec = importlib.util.spec_from_file_location("conf", DOCS / "conf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_file_and_its_name_count(conf, tmp_path):
    (tmp_path / "below").mkdir()
    states = []
    for name, text in [("a.py", "1"), ("a.py", "2"), ("below/b.py", "1"), ("below/c.py", "1")]:
        (tmp_path / name).write_text(text)
        states.append(conf.state_of_the_code(tmp_path))
    assert len(set(states)) == len(states)
    assert conf.state_of_the_code(tmp_path) == states[-1]


def test_no_output_of_earlier_code_is_kept(conf):
    assert conf.nb_execution_mode == "force"
