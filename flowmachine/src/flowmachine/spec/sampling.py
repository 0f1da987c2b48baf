"""Define the field of kinds whose result may be sampled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import marshmallow as ma

from flowmachine.spec.fields import Choice, Flag, Integer, Number, load_fields, optional
from flowmachine.spec.query import field_group
from flowmachine.spec.steps import Steps

#: Largest fraction that a submitted spec may ask for, and the fewest subscribers that a sample leaves out.
#: Without them a sample and the whole could differ by one person.
LARGEST_FRACTION = 0.9
FEWEST_LEFT_OUT = 16

METHODS = ("system", "bernoulli", "random_ids")


@dataclass(frozen=True)
class SampleSettings:
    """Hold a repeatable sample: exactly one of ``size`` and ``fraction`` is given.

    ``size`` counts rows; ``fraction`` lies between 0 and 1. Samples that differ in method, seed, size or
    fraction are independent.
    """

    sampling_method: str
    seed: float
    size: int | None = None
    fraction: float | None = None
    estimate_count: bool = True


class Sampling(ma.fields.Field[SampleSettings]):
    """Accept a sampling method with its seed and size, or null."""

    #: The client has a function that adds it to any specification, and no argument for it.
    example: ClassVar[dict[str, Any]] = {"sampling_method": "random_ids", "seed": 0.5, "size": 10}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> SampleSettings:
        if isinstance(value, SampleSettings):
            value = asdict(value)
        if not isinstance(value, Mapping):
            raise ma.ValidationError({"_schema": f"Invalid data type: {value}"})
        method = value.get("sampling_method")
        if method is None:
            raise ma.ValidationError({"sampling_method": ["Missing data for required field."]})
        if method not in METHODS:
            raise ma.ValidationError({"sampling_method": [f"Unsupported value: {method}"]})
        seed = Number(-1.0, 1.0) if method == "random_ids" else Number()
        fields: dict[str, ma.fields.Field] = {
            "sampling_method": Choice(*METHODS),
            "seed": seed,
            "size": _nullable(Integer(at_least=1)),
            "fraction": _nullable(Number(0.0, 1.0, exclusive=True)),
            "estimate_count": Flag(load_default=True),
        }
        seed.required = True
        values = load_fields(fields, value)
        if (values["size"] is None) == (values["fraction"] is None):
            raise ma.ValidationError(
                {"_schema": ["Must provide exactly one of 'size' or 'fraction' for a random sample."]}
            )
        return SampleSettings(**values)

    def beyond_limits(self, value: SampleSettings, steps: Steps) -> dict[str, list[str]]:
        """Return messages about a sample of nearly everybody.

        A ``size`` is only judged when the sample is drawn, see ``sql.samples``.
        """
        if value.fraction is None or value.fraction <= LARGEST_FRACTION:
            return {}
        text = f"{value.fraction} must be at most {LARGEST_FRACTION}: a sample leaves out a tenth of the subscribers."
        return {"fraction": [text]}

    def canonical(self, value: SampleSettings) -> Any:
        return asdict(value)

    def describe(self) -> dict[str, Any]:
        return {"$ref": "#/components/schemas/RandomSample"}


def _nullable(field: ma.fields.Field) -> ma.fields.Field:
    field.allow_none, field.load_default = True, None
    return field


@field_group
class Sampled:
    """Hold the field of kinds whose result may be sampled."""

    sampling: SampleSettings | None = optional(
        Sampling(), example=Sampling.example, doc="By ``random_sample_spec``, see above."
    )
