"""The documentation says what works: its commands parse or run, its Python runs, its pages are in the site."""

import ast
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import pytest
import tomllib

from cli import main as cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "models").glob("*/README.md"))]
FENCE = re.compile(r"(?:<!-- runs: ?(?P<runs>.*?)-->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
SHELLS = ("", "bash", "sh")
OURS = re.compile(r"(?:torchrun .* -- )?(?:dmcm|make|pip|python3?) ")


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, in which language, and with which options its commands run, None if not."""

    page: Path
    line: int
    language: str
    text: str
    runs: str | None

    @property
    def commands(self) -> list[list[str]]:
        """The words of every line that is a command."""
        lines = self.text.replace("\\\n", " ").splitlines()
        split = (part for line in lines for part in line.split(" && "))
        typed = (part.strip().removeprefix("$ ") for part in split)
        ours = (part.split(" -- ")[-1] for part in typed if OURS.match(part))
        return [shlex.split(part, comments=True) for part in ours]


def blocks() -> list[Block]:
    """Return every fenced block of the documentation."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start("language")) + 1
            found.append(Block(page, line, match["language"], match["text"], match["runs"]))
    return found


BLOCKS = blocks()
COMMANDS = [(block, words) for block in BLOCKS if block.language in SHELLS for words in block.commands]


class ParsedError(Exception):
    """Raised where a subcommand would begin to work."""


@pytest.fixture
def only_parse(monkeypatch, tmp_path):
    """Let subcommands parse their arguments and do nothing."""
    import tyro

    monkeypatch.chdir(tmp_path)

    whole = tyro.cli

    def parse(target, *arguments, **options):
        function = target
        if not isinstance(target, type):

            @wraps(target)
            def function(*_, **__):
                return None

        whole(function, *arguments, **options)
        raise ParsedError

    monkeypatch.setattr(tyro, "cli", parse)


@pytest.mark.parametrize(
    ("block", "words"), COMMANDS, ids=[f"{b.page.stem}-{b.line}-{' '.join(w)[:40]}" for b, w in COMMANDS]
)
def test_every_command_is_one_that_can_be_typed(block, words, only_parse):
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert words[1] in targets
    elif words[:2] == ["pip", "install"]:
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        named = re.findall(r"\[([\w,]+)\]", " ".join(words))
        assert {extra for group in named for extra in group.split(",")} <= set(extras) | {"sysid"}
    elif words[0].startswith("python"):
        script = next((word for word in words[1:] if word.endswith(".py")), None)
        assert script is None or (ROOT / script).is_file() or (ROOT / "ros2_ws" / script).is_file(), script
    else:
        assert parses(words[1:]), f"{block.page.name}:{block.line}: {shlex.join(words)}"


def parses(words: list[str]) -> bool:
    """Return whether `dmcm` takes these words."""
    if words in ([], ["--version"]):
        return True
    if "--config" in words:  # read before the other options are
        Path(words[words.index("--config") + 1]).write_text("{}")
    try:
        cli.main(words)
    except ParsedError:
        return True
    except SystemExit:
        return False
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_subcommand_that_a_page_names_exists(page):
    text = FENCE.sub("", re.sub(r"<!-- results.*?<!-- /results -->", "", page.read_text(), flags=re.S))
    firsts = {name.split()[0] for name in cli.COMMANDS}
    for said in re.findall(r"`dmcm ([^`]+)`", text):
        first = said.split()[0]
        assert first in firsts or not first[0].islower(), f"{page.name}: `dmcm {said}`"


RUNNING = [block for block in BLOCKS if block.runs is not None]


@pytest.mark.parametrize("page", sorted({b.page for b in RUNNING}), ids=lambda page: page.stem)
def test_blocks_that_are_marked_run(page, tmp_path, monkeypatch):
    """Blocks of a page run one after the other in one folder, with the options of their marks, which come last."""
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    for block in (b for b in RUNNING if b.page == page):
        if block.language == "python":
            done = subprocess.run([sys.executable, "-c", block.text], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{page.name}:{block.line}: {done.stderr}"
        for words in block.commands if block.language in SHELLS else ():
            assert cli.main([*words[1:], *shlex.split(block.runs)]) == 0, f"{page.name}:{block.line}: {words}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_folder_of_the_machine_it_was_written_on(page):
    found = re.findall(r"(?<![\w.~])/(?:home|root|tmp|work|Users)/\S*", page.read_text(encoding="utf-8"))
    assert not found, "write PATH, or a folder that a reader may have"


def test_python_blocks_are_python():
    for block in BLOCKS:
        if block.language == "python" and "--8<--" not in block.text:
            ast.parse(block.text)


def test_every_page_is_in_the_site_and_every_link_leads_somewhere():
    nav = (ROOT / "mkdocs.yml").read_text().split("\nnav:\n")[1].split("\n\n")[0]
    listed = set(re.findall(r"[\w/]+\.md", nav))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        for module in re.findall(r"^::: ([\w.]+)$", page.read_text(encoding="utf-8"), re.M):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), f"{page.name}: {module}"
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#:]+)[^)]*\)", FENCE.sub("", page.read_text(encoding="utf-8"))):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)}: {link}"
