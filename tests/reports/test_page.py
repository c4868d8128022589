import re
import xml.etree.ElementTree as ET

import pytest

from reports.page import MARKS, Page, Tile, frame, image, paragraph, table

EVIL = "<script>alert('x')</script> & \"quotes\""


def page(**changes):
    made = Page(
        "Kind", "Title", "It works.", "good", [Tile("1.5", "kg", "payload")], {"Log": "a.mcap"}, "dmcm", **changes
    )
    made.add("Evidence", paragraph("Text."), table(("name", "value"), [("a", "1")], ["ok"]))
    return made


def test_the_verdict_comes_first_and_everything_is_there():
    text = page().html()
    order = [text.index(part) for part in ("Title</h1>", "It works.", "<b>1.5", "What was done", "Evidence")]
    assert order == sorted(order)


def test_a_page_is_well_formed_and_fetches_nothing():
    text = page().html()
    ET.fromstring(re.sub(r"<!doctype html>|<meta[^>]*>|<style>.*?</style>", "", text, flags=re.S))
    assert "<script" not in text and "http" not in text and "@import" not in text and "url(" not in text


def test_it_follows_the_reader_and_prints():
    text = page().html()
    assert "prefers-color-scheme: dark" in text and "@media print" in text and "@page" in text


def test_text_from_outside_cannot_become_html():
    made = Page(EVIL, EVIL, EVIL, "plain", [Tile(EVIL, EVIL, EVIL)], {EVIL: EVIL}, EVIL)
    made.add(
        EVIL, paragraph(EVIL), table((EVIL, ""), [(EVIL, EVIL)]), image(b"x", "image/png", EVIL), frame(EVIL, EVIL)
    )
    assert "<script" not in made.html() and 'alt="<' not in made.html()


def test_moods_are_told_apart_without_colour():
    assert len(set(MARKS.values())) == len(MARKS)


def test_numbers_stand_to_the_right():
    text = table(("name", "share"), [("a", "12 %"), ("b", "−3.5 %")])
    assert text.count('class="number"') == 3  # the head and two cells


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("before")
    with pytest.raises(KeyError):
        Page("", "", "", "no such mood").write(path)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]
    assert page().write(path) == path and path.read_text().startswith("<!doctype html>")
