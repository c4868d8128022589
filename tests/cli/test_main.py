import subprocess
import sys
import types

import pytest

from cli import main as cli


@pytest.fixture
def command(monkeypatch):
    """Make the subcommand `probe x` that does what the returned function is told."""

    def make(action):
        module = types.ModuleType("cli_probe")
        module.main = action
        monkeypatch.setitem(sys.modules, "cli_probe", module)
        monkeypatch.setitem(cli.COMMANDS, "probe x", cli.Command("cli_probe:main", "for the test"))

    return make


def raises(error):
    def action(arguments):
        raise error

    return action


def test_no_arguments_list_every_subcommand(capsys):
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    for name, command in cli.COMMANDS.items():
        assert f"  {name} " in out and command.help in out


def test_group_lists_its_own_subcommands(capsys):
    assert cli.main(["train"]) == 0
    out = capsys.readouterr().out
    assert "train policy" in out and "adapt" not in out


@pytest.mark.parametrize("words", [["fly"], ["--fly"], ["train", "pigeons"], ["fly", "policy"]])
def test_unknown_subcommand(words, capsys):
    assert cli.main(words) == cli.MISUSED
    captured = capsys.readouterr()
    assert captured.out == "" and "train policy" in captured.err


def test_arguments_after_the_name_are_passed_on(command):
    seen = []
    command(seen.extend)
    assert cli.main(["probe", "x", "log", "--out", "a b"]) == 0
    assert seen == ["log", "--out", "a b"]


def test_exit_code_of_a_subcommand_is_returned(command):
    command(lambda arguments: 3)
    assert cli.main(["probe", "x"]) == 3


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("log.mcap: joint 'FL_hip_joint'\n  is missing"), "log.mcap: joint 'FL_hip_joint' is missing"),
        (ValueError(), "ValueError"),
        (FileNotFoundError("there is no log at a.mcap"), "there is no log at a.mcap"),
        (FileNotFoundError(2, "No such file or directory", "a.mcap"), "a.mcap: No such file or directory"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch.nn"),
            "this needs the package 'torch', which is not installed: pip install '.[train]'",
        ),
    ],
)
def test_bad_input_is_one_sentence(command, capsys, monkeypatch, error, said):
    monkeypatch.delenv("DMCM_TRACEBACK", raising=False)
    command(raises(error))
    assert cli.main(["probe", "x"]) == cli.FAILED
    captured = capsys.readouterr()
    assert captured.err == f"dmcm: {said}\n" and captured.out == ""


def test_traceback_on_request(command, monkeypatch):
    monkeypatch.setenv("DMCM_TRACEBACK", "1")
    command(raises(ValueError("why")))
    with pytest.raises(ValueError, match="why"):
        cli.main(["probe", "x"])


@pytest.mark.parametrize("error", [KeyError("bug"), ModuleNotFoundError("No module named 'sim.x'", name="sim.x")])
def test_a_fault_of_our_own_is_not_hidden(command, error):
    command(raises(error))
    with pytest.raises(type(error)):
        cli.main(["probe", "x"])


def test_interrupt(command):
    command(raises(KeyboardInterrupt()))
    assert cli.main(["probe", "x"]) == cli.INTERRUPTED


def test_every_subcommand_exists_and_its_file_imports_nothing_heavy():
    targets = [command.target.split(":") for command in cli.COMMANDS.values()]
    code = (
        "import sys, importlib\n"
        f"for module, function in {targets!r}:\n"
        "    assert callable(getattr(importlib.import_module(module), function)), (module, function)\n"
        "rooms = 'robots sim dynamics_model policy calibration deploy models'.split()\n"
        "libraries = 'numpy torch mujoco onnxruntime matplotlib rosbags'.split()\n"
        "print(sorted({*rooms, *libraries} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr
