from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from ia2_eval.errors import UserError
from ia2_eval.mtbench.lock import sole_run

RUNNING = "import sys; from pathlib import Path; from ia2_eval.mtbench.lock import sole_run\n"
RUNNING += "with sole_run(Path(sys.argv[1])): print('running', flush=True); sys.stdin.read()"


def test_a_second_run_in_a_directory_is_refused_until_the_first_has_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RUNNING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout and other.stdout.readline() == "running\n"
        with pytest.raises(UserError, match="another run is going on"), sole_run(tmp_path):
            pass
        with pytest.raises(UserError, match=r"another run .*: come back$"), sole_run(tmp_path, advice="come back"):
            pass
        other.kill()
    with sole_run(tmp_path), sole_run(tmp_path / "elsewhere"):
        pass


def test_where_there_are_no_locks_the_user_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", no_locks)
    with sole_run(tmp_path), sole_run(tmp_path):
        pass
    assert len(caplog.messages) == 2 and str(tmp_path) in caplog.messages[0]


def test_a_directory_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"^cannot write to .*file"), sole_run(tmp_path / "file"):
        pass
