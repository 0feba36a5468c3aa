"""Builds the embedded model: step-based, seeded, on one thread, resumable.

The loss is the cross-entropy of labels and answers plus a tenth of that of the text. Matrices are trained with Muon,
the rest with AdamW.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from ia2_eval.embedded.curriculum import STAGES, Sequence, Stage, demonstration_sequence, draw_batch
from ia2_eval.embedded.initialisation import create_model
from ia2_eval.embedded.tokenizer import build_tokenizer
from ia2_eval.embedded.world import AXES, DIGITS
from ia2_eval.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

SEED = 0
TEXT_WEIGHT = 0.1
"""Weight in the loss of tokens that are neither labels nor part of an answer."""
LOG_EVERY = 50
CHECKPOINT_EVERY = 200
LOG_FILE = "training_log.jsonl"
CHECKPOINT = "checkpoint"


@dataclass
class _Progress:
    """Where a build stands; with the tensors beside it, all that a resumed build needs."""

    stage: int = 0
    step: int = 0
    cpu_seconds: float = 0.0


class Build:
    """One build of the embedded model in a directory.

    Raises:
        UserError: this torch has no Muon.
    """

    def __init__(self, directory: Path, stages: tuple[Stage, ...] = STAGES, seed: int = SEED) -> None:
        if not hasattr(torch.optim, "Muon"):
            raise UserError(
                f"building the embedded model needs torch.optim.Muon (torch 2.9 or newer), found {torch.__version__}"
            )
        self.directory = directory
        self.stages = stages
        self.tokenizer = build_tokenizer()
        self.model = create_model(self.tokenizer, seed)
        self.rng = np.random.default_rng(seed)
        self.progress = _Progress()
        self._ids = self.tokenizer.get_vocab()
        matrices = [p for n, p in self.model.named_parameters() if p.ndim == 2 and "embed" not in n]
        others = [p for n, p in self.model.named_parameters() if p.ndim != 2 or "embed" in n]
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(matrices, weight_decay=0.01, adjust_lr_fn="original"),
            torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0),
        ]

    def run(self, report: Callable[[dict[str, Any]], None], steps: int | None = None) -> None:
        """Train to the end, or for `steps` steps in all; continue from a checkpoint if there is one.

        `report` is called with every entry of the training log as it is written.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        threads = torch.get_num_threads()
        # On this size a second thread costs more than it brings, and one thread repeats bit for bit.
        torch.set_num_threads(1)
        try:
            if (self.directory / CHECKPOINT / "progress.json").exists():
                self._resume()
            else:
                (self.directory / LOG_FILE).unlink(missing_ok=True)  # of a build that never came to a checkpoint
            while not self.finished and (steps is None or self.total_steps() < steps):
                self._advance(report)
                if self.progress.step % CHECKPOINT_EVERY == 0 or self.total_steps() == steps:
                    self._checkpoint()
        finally:
            torch.set_num_threads(threads)

    @property
    def finished(self) -> bool:
        return self.progress.stage == len(self.stages)

    def total_steps(self) -> int:
        """Steps taken so far, over all stages."""
        return sum(stage.steps for stage in self.stages[: self.progress.stage]) + self.progress.step

    def _advance(self, report: Callable[[dict[str, Any]], None]) -> None:
        stage, step = self.stages[self.progress.stage], self.progress.step
        started = time.process_time()
        label_loss, text_loss = self._step(stage, step)
        self.progress.cpu_seconds += time.process_time() - started
        self.progress.step += 1
        if step % LOG_EVERY == 0:
            losses = {"label_loss": round(label_loss, 4), "text_loss": round(text_loss, 4)}
            self._log(report, step=self.total_steps() - 1, **losses)
        if self.progress.step == stage.steps:
            self._log(report, step=self.total_steps(), finished=stage.name, in_context_accuracy=self.probe())
            self.progress.stage += 1
            self.progress.step = 0

    def _step(self, stage: Stage, step: int) -> tuple[float, float]:
        for optimizer, rate in zip(self.optimizers, (stage.muon_learning_rate, stage.adamw_learning_rate), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate * stage.rate_factor(step)
        input_ids, scored = self.encode(draw_batch(self.rng, stage, step))  # [B, T], [B, T]
        logits = self.model(input_ids=input_ids, use_cache=False).logits[:, :-1]  # [B, T-1, V]
        losses = torch.nn.functional.cross_entropy(logits.flatten(0, 1), input_ids[:, 1:].flatten(), reduction="none")
        weight = scored[:, 1:].flatten()
        label_loss = (losses * weight).sum() / weight.sum().clamp(min=1)
        text_loss = (losses * (1 - weight)).mean()
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        (label_loss + TEXT_WEIGHT * text_loss).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        return label_loss.item(), text_loss.item()

    def encode(self, sequences: list[Sequence]) -> tuple[torch.Tensor, torch.Tensor]:
        """Token ids [B, T] and whether each is scored [B, T], as floats."""
        ids = [[self._ids[token] for token in sequence.tokens] for sequence in sequences]
        return torch.tensor(ids), torch.tensor([sequence.scored for sequence in sequences]).float()

    @torch.no_grad()
    def probe(self, sequences: int = 24, length: int = 300) -> dict[str, dict[str, float]]:
        """Accuracy after 0, 3, 7 and 15 demonstrations, by axis: at most four of its values, digits as labels."""
        rng = np.random.default_rng(7)
        self.model.eval()
        result = {}
        for axis in AXES.values():
            values = list(axis.values)[:4]
            labels = DIGITS[: len(values)]
            input_ids, scored = self.encode(
                [demonstration_sequence(rng, length, axis, values, labels) for _ in range(sequences)]
            )
            predicted = self.model(input_ids=input_ids, use_cache=False).logits[:, :-1].argmax(-1)  # [B, T-1]
            right = (predicted == input_ids[:, 1:]).float()
            outcomes = [row[mask.bool()] for row, mask in zip(right, scored[:, 1:], strict=True)]
            result[axis.name] = {
                str(k): round(float(torch.stack([row[k] for row in outcomes]).mean()), 2) for k in (0, 3, 7, 15)
            }
        self.model.train()
        return result

    def export(self, directory: Path) -> None:
        """Write the model, the tokenizer, the training log and their checksums as one Hugging Face model directory."""
        directory.mkdir(parents=True, exist_ok=True)
        self.model.eval()
        self.model.save_pretrained(directory)
        self.tokenizer.save_pretrained(directory)
        # Transformers 5 would name a class that version 4 does not have.
        tokenizer_config = directory / "tokenizer_config.json"
        settings = json.loads(tokenizer_config.read_text()) | {"tokenizer_class": "PreTrainedTokenizerFast"}
        tokenizer_config.write_text(json.dumps(settings, indent=2) + "\n")
        # Transformers writes weights that only the owner may read, which a package must not ship.
        (directory / "model.safetensors").chmod(0o644)
        (directory / LOG_FILE).write_text((self.directory / LOG_FILE).read_text())
        files = sorted(path for path in directory.iterdir() if path.name != "SHA256SUMS")
        sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files]
        (directory / "SHA256SUMS").write_text("".join(sums))

    def _log(self, report: Callable[[dict[str, Any]], None], **entry: Any) -> None:
        entry["cpu_seconds"] = round(self.progress.cpu_seconds, 1)
        with (self.directory / LOG_FILE).open("a") as log:
            log.write(json.dumps(entry) + "\n")
        report(entry)

    def _checkpoint(self) -> None:
        """Save all that a resumed build needs; the progress file comes last and names the tensors that belong to it."""
        folder = self.directory / CHECKPOINT
        folder.mkdir(exist_ok=True)
        tensors = {f"model.{name}": parameter.detach() for name, parameter in self.model.named_parameters()}
        for i, optimizer in enumerate(self.optimizers):
            for index, state in optimizer.state_dict()["state"].items():
                tensors.update({f"optimizer.{i}.{index}.{key}": value for key, value in state.items()})
        name = f"step_{self.total_steps()}.safetensors"
        save_file({key: value.contiguous() for key, value in tensors.items()}, folder / name)
        progress = {
            "tensors": name,
            "stage": self.progress.stage,
            "step": self.progress.step,
            "cpu_seconds": self.progress.cpu_seconds,
            "rng": self.rng.bit_generator.state,
            "log_bytes": (self.directory / LOG_FILE).stat().st_size,
        }
        temporary = folder / "progress.json.tmp"
        temporary.write_text(json.dumps(progress))
        temporary.replace(folder / "progress.json")
        for old in folder.glob("step_*.safetensors"):
            if old.name != name:
                old.unlink()

    def _resume(self) -> None:
        folder = self.directory / CHECKPOINT
        saved = json.loads((folder / "progress.json").read_text())
        tensors = load_file(folder / saved["tensors"])
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"model.{name}"])
        for i, optimizer in enumerate(self.optimizers):
            state: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in tensors.items():
                if key.startswith(f"optimizer.{i}."):
                    _, _, index, entry = key.split(".")
                    state.setdefault(int(index), {})[entry] = value
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        self.rng.bit_generator.state = saved["rng"]
        self.progress = _Progress(saved["stage"], saved["step"], saved["cpu_seconds"])
        with (self.directory / LOG_FILE).open("r+") as log:  # drop lines of steps that will be taken again
            log.truncate(saved["log_bytes"])


def build(directory: Path, steps: int | None, console: Console) -> None:
    """`ia2-eval embedded build`: train in `directory` and, once finished, export the model to `directory/model`.

    Args:
        directory: holds the checkpoint and the log; a build that was interrupted there is continued.
        steps: stop after this many steps in all; None trains to the end.
        console: where the log goes as readable lines.
    """
    work = Build(directory)
    work.run(lambda entry: console.print(_line(entry), highlight=False, soft_wrap=True), steps)
    if work.finished:
        work.export(directory / "model")
        outcome = f"the model is in {directory / 'model'}"
    else:
        total = sum(stage.steps for stage in work.stages)
        outcome = f"stopped after {work.total_steps()} of {total} steps; the same command without --steps continues"
    console.print(outcome, highlight=False, soft_wrap=True)


def _line(entry: dict[str, Any]) -> str:
    """A log entry as one line to read."""
    if "finished" in entry:
        accuracy = ", ".join(f"{axis} {by_count['15']:.2f}" for axis, by_count in entry["in_context_accuracy"].items())
        news = f'finished "{entry["finished"]}"; accuracy after 15 demonstrations: {accuracy}'
    else:
        news = f"label loss {entry['label_loss']:.3f}, text loss {entry['text_loss']:.3f}"
    return f"step {entry['step']}: {news} ({entry['cpu_seconds']:.0f} s CPU)"
