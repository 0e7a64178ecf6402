"""One message for a fault, and progress that leaves stdout to the results."""

import sys

import pytest

from srpipe.core.console import bar, entry_point, progress, say, warn
from srpipe.core.errors import DataError


def test_notes_go_to_stdout_and_warnings_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """A script can tell them apart."""
    say("packed 12 images")
    warn("the discriminator is blind")
    captured = capsys.readouterr()
    assert captured.out == "packed 12 images\n"
    assert captured.err == "warning: the discriminator is blind\n"


def test_notes_are_the_same_where_there_was_no_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then tqdm is not loaded for them."""
    monkeypatch.delitem(sys.modules, "tqdm", raising=False)
    say("packed 12 images\x07")
    warn("the discriminator is blind")
    assert capsys.readouterr() == (
        "packed 12 images\\x07\n",
        "warning: the discriminator is blind\n",
    )
    assert "tqdm" not in sys.modules


def test_a_terminal_obeys_no_message(capsys: pytest.CaptureFixture[str]) -> None:
    """Names of files may hold what clears a screen; letters of all languages stay."""
    say("\x1b[2J Röntgen 胸部\n\x07")
    warn("a\x9bb\r")
    captured = capsys.readouterr()
    assert captured.out == "\\x1b[2J Röntgen 胸部\n\\x07\n"
    assert captured.err == "warning: a\\x9bb\\r\n"


def test_an_expected_fault_is_one_message_and_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback for what a user can mend."""

    def main() -> None:
        raise DataError("there is no image")

    with pytest.raises(SystemExit) as caught:
        entry_point(main)()
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: there is no image\n"


@pytest.mark.parametrize("fault", [DataError("there is no image"), KeyboardInterrupt()])
@pytest.mark.parametrize("rank", [None, "0", "1", "3"])
def test_one_of_several_processes_speaks_for_all(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fault: BaseException,
    rank: str | None,
) -> None:
    """The first on each machine tells the fault; the others end in silence, with the same code."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)

    def main() -> None:
        raise fault

    with pytest.raises(SystemExit) as caught:
        entry_point(main)()
    assert caught.value.code == (1 if isinstance(fault, DataError) else 130)
    assert (capsys.readouterr().err == "") is (rank in ("1", "3"))


def test_an_interrupt_is_exit_130(capsys: pytest.CaptureFixture[str]) -> None:
    """As the shell expects, and the user learns that no half-written file is left."""

    def main() -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as caught:
        entry_point(main)()
    assert caught.value.code == 130
    assert "nothing half-written" in capsys.readouterr().err


def test_a_bug_keeps_its_traceback() -> None:
    """What is not expected is not dressed up."""

    def main() -> None:
        raise KeyError("oops")

    with pytest.raises(KeyError, match="oops"):
        entry_point(main)()


def test_a_stage_that_ends_well_does_not_exit() -> None:
    """The wrapped function is the function, with its name."""
    calls = []

    def main() -> None:
        calls.append(1)

    wrapped = entry_point(main)
    wrapped()
    assert calls == [1]
    assert wrapped.__name__ == "main"


def test_progress_hands_items_through(capsys: pytest.CaptureFixture[str]) -> None:
    """In order and lazily, with a bar on stderr alone."""
    assert list(progress(iter("abc"), what="reading", total=3, unit="letter")) == list("abc")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "reading" in captured.err
    assert "3/3" in captured.err


def test_a_bar_names_what_it_counts(capsys: pytest.CaptureFixture[str]) -> None:
    """The unit and the total stand in it."""
    with bar(2, what="epoch 1/3", unit="step") as shown:
        shown.update()
    assert "epoch 1/3" in capsys.readouterr().err


def test_a_bar_that_is_not_shown_counts_in_silence(capsys: pytest.CaptureFixture[str]) -> None:
    """As in all but the first of several training processes."""
    with bar(2, what="epoch 1/3", unit="step", shown=False) as hidden:
        hidden.update(2)
        hidden.set_postfix_str("loss 0.1")
    assert capsys.readouterr() == ("", "")


def test_a_resumed_bar_goes_on_where_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """Steps that an earlier process did count as done."""
    with bar(8, what="epoch 1/3", unit="step", done=5) as shown:
        assert shown.n == 5
        shown.update(3)
    assert "8/8" in capsys.readouterr().err


@pytest.mark.parametrize(("stage", "told"), [("train", True), ("download", False), (None, False)])
def test_under_dvc_a_fault_says_where_the_former_outputs_are(
    stage: str | None,
    told: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DVC removes outputs before it runs a stage, except those of download, which persist."""
    monkeypatch.delenv("DVC_STAGE", raising=False)
    if stage is not None:
        monkeypatch.setenv("DVC_STAGE", stage)

    def main() -> None:
        raise DataError("no images")

    with pytest.raises(SystemExit):
        entry_point(main)()
    assert ("dvc repro` with the former settings" in capsys.readouterr().err) is told
