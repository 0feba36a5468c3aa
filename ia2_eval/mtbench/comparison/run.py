"""Runs the arms of a comparison, one after another on one loaded model."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ia2_eval.experiments.interruption import Interruption
from ia2_eval.frozen import one_line
from ia2_eval.mtbench.answer_likelihoods import answer_likelihoods
from ia2_eval.mtbench.answers import ModelAnswer, read_answers
from ia2_eval.mtbench.comparison.arms import Arm, PlannedArm
from ia2_eval.mtbench.comparison.formats import first_answer
from ia2_eval.mtbench.comparison.records import ArmRecord, read_record, write_record
from ia2_eval.mtbench.comparison.training import AdapterTrainer
from ia2_eval.mtbench.generation.decoding_settings import DecodingSettings
from ia2_eval.mtbench.generation.models import OpenModel
from ia2_eval.mtbench.generation.run import generate_answers
from ia2_eval.mtbench.layout import Layout
from ia2_eval.mtbench.prompts.prompt_set import Demonstration
from ia2_eval.mtbench.questions import Question

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What became of an arm, and its answers if it is done."""

    arm: Arm
    record: ArmRecord
    answers: tuple[ModelAnswer, ...] = ()


@dataclass(frozen=True)
class ArmRunner:
    """All that the arms share."""

    model: OpenModel
    trainer: AdapterTrainer
    bench: str
    questions: tuple[Question, ...]
    held_out: tuple[Demonstration, ...]
    decoding: DecodingSettings
    layout: Layout
    say: Say
    interruption: Interruption

    def run(self, planned: Sequence[PlannedArm]) -> list[Outcome]:
        """Run the arms that are not done; one that fails does not keep the others from running."""
        outcomes = []
        for each in planned:
            outcome = self._outcome(each)
            write_record(self.layout.directory, outcome.record)
            outcomes.append(outcome)
        return outcomes

    def _outcome(self, planned: PlannedArm) -> Outcome:
        arm = planned.arm
        if planned.skipped:
            self.say(f"{arm.model_id}: skipped: {planned.skipped}")
            return Outcome(arm, ArmRecord(model_id=arm.model_id, status="skipped", reason=planned.skipped))
        if done := self._done(arm):
            return done
        try:
            return self._run(planned)
        except Exception as error:
            self.interruption.check()
            reason = f"{type(error).__name__}: {one_line(error)}"
            self.say(f"{arm.model_id}: failed: {reason}")
            return Outcome(arm, ArmRecord(model_id=arm.model_id, status="failed", reason=reason))

    def _done(self, arm: Arm) -> Outcome | None:
        """The outcome of an earlier run, if it has everything."""
        record = read_record(self.layout.directory, arm.model_id)
        if record is None or record.status != "done" or record.held_out_sha256 != self._held_out_sha256:
            return None
        path = self.layout.answers(arm.model_id)
        answers = read_answers(path) if path.exists() else ()
        if {answer.question_id for answer in answers} != {question.question_id for question in self.questions}:
            return None
        return Outcome(arm, record, answers)

    def _run(self, planned: PlannedArm) -> Outcome:
        arm, started = planned.arm, time.monotonic()
        adapter = None
        if arm.trained:
            if not self.trainer.trained(arm):
                self.say(f"{arm.model_id}: training on {arm.n} examples")
            adapter = self.trainer.train(arm, planned.examples)
        with self.model.adapted(adapter) as model:
            answers = generate_answers(
                model,
                self.questions,
                planned.prompt_set,
                self.decoding,
                self.layout,
                arm.model_id,
                say=self.say,
                bench=self.bench,
            )
            found = answer_likelihoods(model, planned.prompt_set, [first_answer(each) for each in self.held_out])
        record = ArmRecord(
            model_id=arm.model_id,
            status="done",
            held_out=tuple(each.nats / each.tokens for each in found),
            held_out_sha256=self._held_out_sha256,
            seconds=round(time.monotonic() - started, 3),
        )
        return Outcome(arm, record, answers)

    @property
    def _held_out_sha256(self) -> str:
        rows = [example.model_dump(mode="json") for example in self.held_out]
        return hashlib.sha256(json.dumps(rows).encode("ascii")).hexdigest()
