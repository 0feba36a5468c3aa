"""What a worker does before its first pass, for the time that it takes: `python -m ... DIRECTORY DTYPE [DEVICE]`."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from ia2_eval.errors import UserError
from ia2_eval.lm.base_model import Base, BaseFiles, load, use_threads_for


def start_seconds(files: BaseFiles, device: str | None) -> float:
    """Seconds until a new process has imported what it needs and has loaded the base.

    Raises:
        UserError: the base cannot be loaded.
    """
    command = [sys.executable, "-m", __spec__.name, str(files.directory), files.base.dtype]
    started = time.monotonic()
    done = subprocess.run([*command, *([device] if device else [])], capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise UserError(f"the base cannot be loaded: {reason}")
    return time.monotonic() - started


def main(directory: str, dtype: str, device: str | None = None) -> None:
    import ia2_eval.experiments.run_pass
    import ia2_eval.lm.ia2_hf  # noqa: F401

    files = BaseFiles(Base.model_validate({"model": directory, "dtype": dtype}), Path(directory))
    use_threads_for(load(files, device).model)


if __name__ == "__main__":
    main(*sys.argv[1:])
