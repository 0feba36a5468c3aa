"""An entry of a recipe's list of methods: a name, or a mapping with the options of the method."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_serializer, model_validator

from ia2_eval.errors import did_you_mean
from ia2_eval.experiments.adapter_specs import ADAPTER_TYPES
from ia2_eval.experiments.method_options import UNTRAINED, AlignmentSpec, Labels, LowData, Method, MethodVariant
from ia2_eval.frozen import Frozen


def _known_method(method: Method) -> Method:
    from ia2_training import METHODS

    known = (*UNTRAINED, *METHODS)
    if method in ADAPTER_TYPES:
        raise ValueError(f"is an adapter, not a method: write `adapter: {method}`, and under methods what it learns by")
    if method not in known:
        raise ValueError(f"there is no such method.{did_you_mean(method, known)}")
    return method


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, int | float | str) else value


def _at_least_one(top_k: int | None) -> int | None:
    if top_k is not None and top_k < 1:
        raise ValueError("must be at least 1; leave it out for all tokens")
    return top_k


class MethodEntry(Frozen):
    """A method, plain or with options; a list of weights stands for one variant each."""

    method: Annotated[Method, AfterValidator(_known_method)]
    labels: Labels | None = None
    sft_weight: Annotated[tuple[float, ...] | None, BeforeValidator(_one_or_many)] = None
    top_k: Annotated[int | None, AfterValidator(_at_least_one)] = None
    alignment: AlignmentSpec | None = None
    low_data: LowData | None = None
    demonstration_orders: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"method": value} if isinstance(value, str) else value

    @model_serializer
    def _short(self) -> str | dict[str, Any]:
        content = {name: value for name, value in self if value is not None}
        return self.method if content.keys() == {"method"} else content

    @model_validator(mode="after")
    def _sensible(self) -> MethodEntry:
        if self.method in UNTRAINED:
            given = [name for name, value in self if name != "method" and value is not None]
            if given:
                raise ValueError(f"{self.method} trains nothing: leave out {', '.join(given)}")
            return self
        if self.sft_weight == ():
            raise ValueError("sft_weight is empty: give one weight, or several")
        if self.low_data and (self.demonstration_orders or 1) > 1:
            raise ValueError(
                "demonstration_orders: low_data has orders of its own, which are trained on side by side; write "
                f"low_data: {{unlabelled: {self.low_data.unlabelled}, orders: {self.demonstration_orders}}} instead"
            )
        for variant in self._as_written():
            method = variant.training_method
            if not method.asks_teacher and (self.low_data or self.demonstration_orders):
                option = "low_data" if self.low_data else "demonstration_orders"
                raise ValueError(
                    f"{option}: nothing is learned from the teacher here, who alone reads demonstrations; "
                    "choose another method, or labels: icl_outputs"
                )
        return self

    @property
    def variants(self) -> tuple[MethodVariant, ...]:
        """The variants that the entry stands for, with options that are at their defaults as None."""
        if self.method in UNTRAINED:
            return (MethodVariant(method=self.method),)
        return tuple(_normal(variant) for variant in self._as_written())

    def _as_written(self) -> Iterator[MethodVariant]:
        for weight in self.sft_weight or (None,):
            yield MethodVariant(
                method=self.method,
                labels=self.labels,
                sft_weight=weight,
                top_k=self.top_k,
                alignment=self.alignment,
                low_data=self.low_data,
                demonstration_orders=self.demonstration_orders,
            )


def _normal(variant: MethodVariant) -> MethodVariant:
    from ia2_training import JointLoss
    from ia2_training.methods import SFT_WEIGHT

    plain = variant.model_copy(update={"labels": None}).training_method
    changes: dict[str, object] = {}
    if variant.training_method.phases == plain.phases:
        changes["labels"] = None
    # A default that a cell does not say could not be told from one that changes later; old keys have no weight.
    if variant.sft_weight is None and any(isinstance(loss, JointLoss) for loss in plain.phases):
        changes["sft_weight"] = SFT_WEIGHT
    if variant.alignment == AlignmentSpec():
        changes["alignment"] = None
    if variant.demonstration_orders == 1:
        changes["demonstration_orders"] = None
    return variant.model_copy(update=changes)
