"""A method with what it leaves open, as cells say it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ia2_eval.frozen import Frozen

if TYPE_CHECKING:
    import ia2_training

Method = str
"""`no_icl`, `icl`, or the name of a method of `ia2_training.METHODS`."""

UNTRAINED: tuple[Method, ...] = ("no_icl", "icl")

Labels = Literal["ground_truth", "icl_outputs"]


def _listed(value: Any) -> Any:
    """`all` is None, `{first: 0, last: 3}` the layers from the one to the other."""
    if value is None or value == "all":
        return None
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("is empty: name at least one layer, or write `all`")
        if not all(type(layer) is int for layer in value):
            return value
        if len(set(value)) < len(value):
            raise ValueError(f"names a layer twice: {list(value)}")
        return tuple(sorted(value, key=lambda layer: (layer < 0, layer)))  # one name for one choice
    if not isinstance(value, dict):
        raise ValueError("must be `all`, a list such as [0, 2, -1], or a range {first: 0, last: 3}")
    first, last = value.get("first"), value.get("last")
    if value.keys() != {"first", "last"} or type(first) is not int or type(last) is not int:
        raise ValueError("a range of layers is written {first: 0, last: 3}")
    if (first < 0) != (last < 0) or last < first:
        raise ValueError(
            "the first layer must not come after the last, and both must count from the start (0, 1, ...) or both "
            "from the end (..., -2, -1)"
        )
    return tuple(range(first, last + 1))


class AlignmentSpec(Frozen):
    """What is aligned; the defaults are those of the IA2 paper, section 3."""

    output: Literal["attention", "residual", "mlp"] = "attention"
    layers: Annotated[tuple[int, ...] | None, BeforeValidator(_listed)] = Field(
        default=None, description="from 0, or from the end if negative; None: all"
    )
    distance: Literal["mse", "normalised_mse", "cosine"] = "mse"

    @property
    def label(self) -> str:
        """What differs from the paper, such as `residual cosine layers 0-3`."""
        parts = [self.output if self.output != "attention" else "", self.distance if self.distance != "mse" else ""]
        return " ".join(filter(None, [*parts, _layers_label(self.layers)]))


class LowData(Frozen):
    """Low-data mode: the training examples are demonstrations only, and the teacher's output on other queries is
    trained on."""

    unlabelled: int = Field(ge=1, description="M: queries without labels, from the rest of the pool")
    orders: int = Field(default=1, ge=1, description="K: orders of the demonstrations for each query, N! at most")

    @property
    def label(self) -> str:
        return f"low data M={self.unlabelled} K={self.orders}"


class MethodVariant(Frozen):
    """A method and its options. One that is at its default, or that the method does not have, is None."""

    method: Method
    labels: Labels | None = Field(default=None, description="of cross-entropy, where the method can choose")
    sft_weight: float | None = Field(default=None, description="of `ia2+sft`: w in (1 - w) alignment + w cross-entropy")
    top_k: int | None = Field(default=None, description="of `soft_sft`: the teacher's most probable tokens; None: all")
    alignment: AlignmentSpec | None = Field(default=None, description="None: as in the IA2 paper")
    low_data: LowData | None = None
    demonstration_orders: int | None = Field(
        default=None, description="orders in which the teacher is shown the demonstrations, epoch by epoch; None: one"
    )

    @property
    def trained(self) -> bool:
        return self.method not in UNTRAINED

    @property
    def training_method(self) -> ia2_training.Method:
        """The method for `ia2_training`.

        Raises:
            ValueError: the options make no sense for it; the reason is given.
        """
        import ia2_training

        align = self.alignment or AlignmentSpec()
        return ia2_training.Method(
            self.method,
            labels=self.labels,
            sft_weight=self.sft_weight,
            top_k=self.top_k,
            alignment=ia2_training.Alignment(align.output, align.layers, align.distance),
        )

    @property
    def before_last_phase(self) -> MethodVariant | None:
        """The variant that trains all phases of this one but the last; None where there is one only."""
        method = self.training_method
        earlier = method.before_last_phase
        if earlier is None:
            return None
        return MethodVariant(
            method=earlier.name,
            labels=earlier.labels,
            alignment=self.alignment if earlier.alignment == method.alignment else None,
            low_data=self.low_data if earlier.asks_teacher else None,
            demonstration_orders=self.demonstration_orders if earlier.asks_teacher else None,
        )


def _layers_label(layers: Sequence[int] | None) -> str:
    if layers is None:
        return ""
    first, last = layers[0], layers[-1]
    if len(layers) == 1:
        return f"layer {first}"
    if tuple(layers) == tuple(range(first, last + 1)):
        return f"layers {first}-{last}" if first >= 0 else f"layers {first}..{last}"
    return "layers " + ",".join(map(str, layers))
