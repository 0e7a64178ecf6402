"""What `benchmarks.measure` finds, and the ratios that follow from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks import predecessor
from benchmarks.ceilings import Ceilings, Cost
from benchmarks.turns import Speeds, Spread, mixed, ratios, spread


@dataclass(frozen=True)
class Booked:
    """The cost of one step by kind of operation, and the crops and HR megapixels of that step."""

    costs: Mapping[str, Cost]
    crops: int
    megapixels: float

    @property
    def total(self) -> Cost:
        """Return the sum over all kinds."""
        total = Cost()
        for cost in self.costs.values():
            total.add(cost)
        return total

    @property
    def floor(self) -> float:
        """Return the least seconds for an HR megapixel, operation by operation."""
        return self.total.floor / self.megapixels


@dataclass(frozen=True)
class Measured:
    """All that was measured; speeds are HR megapixels a second, a number a round.

    Attributes:
        steps: the predecessor's step, ours.
        variants: our steps in other forms, on fewer pixels.
        loop: the loop with the loader, and with one batch that is there already; steps a second.
        groups: crops a second of 1 process and 2, by stage; empty where that was not measured.
        booked: operations of our steps, by stage.
        ceilings: of the machine.
        memory: peak bytes by contender of `steps` on a GPU, and of "a training process".
        notes: what was not measured, and why.
        parts: how much of the default schedule each stage is.
    """

    steps: Speeds
    variants: Speeds
    loop: Speeds
    groups: Mapping[str, Speeds]
    booked: Mapping[str, Booked]
    ceilings: Ceilings
    memory: Mapping[str, float]
    notes: tuple[str, ...]
    parts: Mapping[str, int]

    @property
    def forms(self) -> list[str]:
        """Return what follows the stage in the names of `steps`, a text a form; "" is the usual."""
        return [name.removeprefix("pixel") for name in self.steps if name.startswith("pixel")]

    def mix(self, form: str = "") -> list[float]:
        """Return the speed of the default schedule, in which each stage has its part."""
        return mixed({stage + form: part for stage, part in self.parts.items()}, self.steps)

    def over_predecessor(self, form: str = "") -> dict[str, Spread]:
        """Return how many times faster we are: in each stage, and in their mix."""
        over = self.steps[predecessor.NAME]
        stages = {stage: ratios(self.steps[stage + form], over) for stage in self.parts}
        return {**stages, "mix": ratios(self.mix(form), over)}

    def over_own(self) -> dict[str, Spread]:
        """Return how many times faster each variant is than our step as it is."""
        return {
            name: ratios(values, self.variants[name.partition(",")[0]])
            for name, values in self.variants.items()
            if "," in name
        }

    def over_one_process(self) -> dict[str, Spread]:
        """Return how many times faster two processes are than one, by stage."""
        return {stage: ratios(each["2"], each["1"]) for stage, each in self.groups.items()}

    def seconds(self, stage: str) -> float:
        """Return what a step takes for an HR megapixel."""
        return 1 / spread(self.variants[stage]).median

    @property
    def waiting(self) -> Spread:
        """Return the part of the time in which the device waits for data."""
        pairs = zip(self.loop["loader"], self.loop["resident"], strict=True)
        return spread([1 - real / resident for real, resident in pairs])
