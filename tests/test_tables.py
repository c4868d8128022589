import importlib.util
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def tables():
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_documents_hold_what_the_result_files_say(tables):
    for path in tables.DOCUMENTS:
        text = path.read_text(encoding="utf-8")
        assert "<!-- results:" in text or "<!-- code:" in text, path
        assert tables.fill(text) == text, f"{path}: run python benchmarks/tables.py"


def test_drawings_show_what_the_code_says(tables):
    for path, draw in tables.DRAWINGS.items():
        assert path.read_text(encoding="utf-8") == draw(), f"{path}: run python benchmarks/tables.py"


def test_results_say_where_they_come_from(tables):
    for path in tables.RESULTS.glob("*.json"):
        run = json.loads(path.read_text())["run"]
        assert run["command"].startswith(("dmcm ", "python benchmarks/")) and run["date"] and run["commit"], path


def test_an_unknown_table_is_refused(tables):
    with pytest.raises(ValueError, match="no table 'nothing'"):
        tables.fill("<!-- results:nothing -->\n<!-- /results -->")
