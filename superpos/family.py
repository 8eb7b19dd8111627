"""The seam: what a kind of model says of itself, and how a kind is found by its name.

A kind of model is one folder in `superpos/families`, whose package holds a `Family` under the name
FAMILY, or a value that a program registered. Every room may import this module, and it imports none
of them: functions of a family are `Late`, named here and imported when they are first called.
docs/architecture.md tells the whole story.

Shapes: M models, B samples; everything else is the family's own.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from keyword import iskeyword
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

DEFAULT: Final = "tms"
"""The family of a sweep that names none."""

# Types of other rooms, which this one does not import.
Structure: TypeAlias = Any
"""`engines.task.Structure`, or what a family made of it."""
Task: TypeAlias = Any
"""`engines.task.Task`, or what a family made of it."""
State: TypeAlias = Any
"""`engines.task.State`."""
Engine: TypeAlias = Any
"""`engines.Engine`."""
Sweep: TypeAlias = Any
"""`plan.sweep.Sweep`."""
Settings: TypeAlias = Any
"""`plan.settings.Settings`, or what a family made of it."""
Run: TypeAlias = Any
"""`store.Run`."""
Functions: TypeAlias = Any
"""`user.functions.Functions`."""
Tensors: TypeAlias = Mapping[str, Any]
"""Torch tensors by name, [M, ...]."""
Arrays: TypeAlias = Mapping[str, Any]
"""Numpy arrays by name."""
Shared: TypeAlias = Mapping[str, Arrays]
"""The files that a run keeps for all of its models, by name: tensors by name each."""

Rule: TypeAlias = Callable[..., "str | None"]
"""Called with the values of its keys in order; returns the fault, or None."""


@dataclass(frozen=True)
class Late:
    """A function or class "package.module:name" that is imported when it is first called."""

    path: str

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """What the function itself returns."""
        return self.target(*arguments, **options)

    @property
    def target(self) -> Any:
        """The function itself."""
        return _imported(self.path)


def itself(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function with its own signature and docstring: that which is named by a `Late`, or what is
    given.
    """
    return function.target if isinstance(function, Late) else function


@cache
def _imported(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


class Adam(NamedTuple):
    """Constants of Adam and AdamW."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8


class Label(NamedTuple):
    """The column of text by which models are counted, in the singular and the plural: ("geometry",
    "geometries").
    """

    column: str
    plural: str


@dataclass(frozen=True)
class ExactLoss:
    """How a loss is computed without sampling."""

    known: Callable[[Structure], bool]
    """Whether the loss of such models is computed exactly."""
    work: Callable[[Structure], float]
    """What it costs for one model, in operations."""
    loss: Callable[[Task, Arrays], Any]
    """(task, parameters) -> L [M], float64."""


@dataclass(frozen=True)
class Source:
    """A key whose value names another run, and what is kept of that run: `read(run, models)`, of
    some or all (None).

    In plan and row ids stands the digest of that run, never its path; what `read` gives is written
    to the new run's own folder before training, as a shared file "KEY-DIGEST", so that the new run
    stands alone.
    """

    key: str
    read: Callable[[Run, Sequence[int] | None], Arrays]
    model: str | None = None
    """A key whose value is the number of the model of that run, where a family has such a key; else
    all are read.
    """


@dataclass(frozen=True)
class Figure:
    """A figure: `module`, named or itself, holds `applies(run)`, why not in words or None, and
    `draw(run)`.

    A movie also holds `animate(run)`, the bytes of a GIF, which takes long: it is made when asked
    for by name.
    """

    description: str
    module: Any
    movie: bool = False
    barred: str = ""
    """Why no run of this family can show it, in words that go on from its name: "needs ..."."""


@dataclass(frozen=True)
class Explorer:
    """What the page of `superpos report` shows of a family beyond what it shows of every run.

    The page of a family that says nothing here has the map, the table, losses and seeds, and
    weights as matrices.
    """

    scripts: tuple[str, ...] = ()
    """JavaScript files "package:file.js" in a scope of their own.

    They call `family({...})` with cards, metrics of the map and words; report/page/family.js says
    with which.
    """
    parts: Callable[[Run, Any], Iterable[Any]] | None = None
    """(run, numbers [M] of models whose tensors have equal names and shapes) -> the
    `report.parts.Part`s that the page holds of them; without it those of `report.parts.standard`.
    """
    layers: Callable[[Run], Any] | None = None
    """(run) -> `report.layers.Layers`: what theory knows of the run's settings."""
    constants: Callable[[], Mapping[str, Any]] | None = None
    """() -> what the scripts read as `RUN.constants`: JSON of what they and Python share."""


@dataclass(frozen=True)
class Exhibits:
    """What there is to show: everything by dotted name, imported when it is used."""

    figures: Mapping[str, Figure] = field(default_factory=dict)
    measures: str | None = None
    """The package whose modules hold the measures that claims name as module.function."""
    explorer: Explorer = field(default_factory=Explorer)
    bench: Callable[[], Any] | None = None
    """() -> `bench.cases.Bench`: the cases of `superpos bench` and who trains them."""
    words: Mapping[str, str] = field(default_factory=dict)
    """How papers write a key, or a key with a value: {"data.density": "1 − S", "model.output=relu":
    "ReLU output"}.
    """
    ordered_by: str | None = None
    """The key by which figures of every family order settings, the greatest value first; None is as
    they are swept.
    """


def _nothing(*_: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Family:
    """A kind of model.

    Every function is pure; where one is given tensors, they are torch's, [M, ...].
    """

    name: str
    """A plain name: that of its folder in superpos/families, or one under which it is
    registered.
    """

    # --- asks: what a user may say, and what it means ---------------------------------------------
    keys: Mapping[str, type]
    """Groups of config keys: {group: dataclass of `config.schema.key` fields}; a group may extend a
    shared one.
    """
    rules: Sequence[tuple[tuple[str, ...], Rule]]
    """Which values fit together."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """The family's own defaults of shared keys, such as {"train.optimizer": "adam"}."""
    instead: Mapping[str, str] = field(default_factory=dict)
    """Keys that say the same, both ways: {"data.sparsity": "data.density", ...}; one takes the
    place of the other.
    """
    unsaid: Mapping[str, Any] = field(default_factory=dict)
    """Values of such keys where neither is given; they stand in the plan."""
    adam: Adam = Adam()  # noqa: RUF009 - a value that cannot change
    settings: Callable[[Sweep], Settings]
    """Structures and filled-in columns of a sweep, computed once a sweep."""
    task: Callable[[Settings, Any, Shared], Task]
    """(settings, rows [M], files of the run) -> what an engine trains."""
    sources: Sequence[Source] = ()
    with_sources: Callable[[Sweep, Mapping[str, Run]], Sweep] = lambda sweep, _: sweep
    """(sweep, other runs by digest) -> the sweep with what follows from them in its plan, such as
    sizes.

    Called when a sweep is asked for. Raises `ConfigError` where a run does not fit.
    """
    configs: Path | None = None
    """A folder of experiment/*.yaml and claims/*.yaml of a family that does not ship with
    superpos.
    """

    # --- trains -----------------------------------------------------------------------------------
    work: Callable[[Structure], float]
    """The one formula of nominal operations: those of a training step of one model, for one
    sample.
    """
    init: Callable[[Task], Arrays]
    """Initial parameters."""
    build: Callable[[Task], Arrays] | None = None
    """Parameters of models that are made, not trained: those whose structure is `built`."""
    batch: Callable[[Task, int, str], Any]
    """(task, step, device) -> the training inputs of a step."""
    sample: Callable[[Task, range, str], Any]
    """(task, numbers of samples, device) -> inputs of the evaluation stream."""
    forward: Callable[..., Any]
    """forward(task, params, inputs, replace={part: value}) -> (outputs, {part: value})."""
    directions: Callable[[Task, Tensors], Any] | None = None
    """(task, params) -> the directions [M, n, d] that stand for the n inputs in the part "hidden"
    [M, B, d].

    Only of models that have such a part and inputs [M, B, n]: who looks for features in it knows
    what is there.
    """
    one_layer: Callable[[Run, Sequence[int]], Mapping[str, Any]] | None = None
    """(run, models of one chunk) -> "weights" W [M, n, m] or (W1, W2), "b", "hidden" and "output"
    as `superpos.explain` has them, and of their data the "density" [M, n] and the "set_size" of
    features that are on together. Only of models with one hidden layer. Raises `SuperposError` for
    models of which that cannot be said.
    """
    patched: Callable[[Run, Sequence[int], str | None, str, int], Any] | None = None
    """(run, models of one structure, how inputs are made corrupt or None, metric, prompts) ->
    `explain.patched.Patched`, what `superpos patch` replaces. Only of models whose parts have names
    and a meaning.

    Raises `ConfigError` for what such models cannot be asked.
    """
    output_loss: Callable[[Task, Any, Any], Any] | None = None
    """(task, inputs, outputs of `forward`) -> what they cost in each sample, [M, B], as when a part
    was replaced.
    """
    losses: Callable[[Task, Tensors, Any, Tensors, int | None], Any]
    """(task, params, inputs, extra state, step) -> the loss of each sample, [M, B].

    Training, gradients and evaluation are all of it; the step is None in evaluation, where a model
    may differ.
    """
    extra_state: Callable[[Task], Arrays] = _nothing
    """Arrays [M, ...] beside the parameters that training changes: counters, moving averages.

    They are checkpointed.
    """
    after_step: Callable[[Task, Any, Any, int], Any] | None = None
    """(task, `engines.task.Stepped`, inputs of the step, step) -> the same as it is after it:
    projections, restarts.
    """
    penalty: Callable[[Task, Tensors], Any] | None = None
    """(task, params) -> what training adds to the mean loss of each model [M], or None; recorded
    losses are without.
    """
    frozen: Callable[[Structure], frozenset[str]] = lambda _: frozenset()
    """Parameters that training leaves as they are."""
    undecayed: Callable[[Structure], frozenset[str]] = lambda _: frozenset()
    """Parameters that weight decay leaves alone."""
    engines: Mapping[str, Callable[[int | None], Engine]] = field(default_factory=dict)
    """Fused engines by device, "cpu" and "cuda", each made for a number of threads."""

    # --- results ----------------------------------------------------------------------------------
    loss: str
    """What the column "loss" means, as a formula in words; it is sealed in the manifest, as the
    label is.
    """
    exact_loss: ExactLoss | None = None
    evaluation_samples: int = 2**17
    """On how many samples a loss is evaluated that is not exact."""
    measure: Callable[[Task, State, Callable[[], None]], Mapping[str, Any]] = _nothing
    """(task, state, pause) -> columns of results by name, [M].

    `pause` is called every second or so, and may raise.
    """
    some_columns: Callable[[Structure], Mapping[str, type]] = _nothing
    """Columns of `measure` that not every structure has, each with float, int, bool or str.

    Files of a run hold them all, empty where models lack them, so that other programs can read them
    as one table.
    """
    label: Label | None = None
    """The column of text that `status`, `by_setting` and the page count by."""
    scores: Sequence[str] = ()
    """Columns of numbers that models are judged by beside their loss, and what they are judged
    against: `status`, `train` and `by_setting` show them, means over the seeds of a setting.
    """
    setting_columns: Mapping[str, Callable[[Run, Any], Any]] = field(default_factory=dict)
    """Further columns of `Run.by_setting` by name, made of more than the table: (run, model
    numbers of a setting's seeds) -> a number.
    """
    follows: Callable[[Any], Sequence[str]] = lambda _: ()
    """Key columns of a table that follow from the others: figures take no notice of them."""
    shared: Callable[[Settings, Shared], Mapping[str, Callable[[], Arrays]]] = _nothing
    """(settings, sources) -> files that a run keeps for all of its models, by name, each with what
    makes it.
    """
    tensors: Callable[[Task, State], Arrays] = _nothing
    """Further tensors [M, ...] of finished models by their public names; parameters have their
    own.
    """
    views: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """Methods of `Run`: {"features": function(run, ...)}."""
    exporters: Mapping[str, Callable[[Run, int], bytes | Mapping[str, bytes]]] = field(
        default_factory=dict
    )
    """Formats that other tools load: {"name": function(run, model) -> content of a file, or of a
    folder's by name}.
    """

    # --- shows ------------------------------------------------------------------------------------
    shows: Exhibits = field(default_factory=Exhibits)

    # --- a user's own functions in the place of the family's --------------------------------------
    with_functions: Callable[[Functions], Family] | None = None
    """This family with functions of a user's own in the place of some of its own."""
    try_functions: Callable[[Family, Task, str], None] | None = None
    """(family with functions, task of one model, device): tries them.

    Raises `ConfigError` where they cannot be.
    """
    functions: Functions | None = None
    """Those functions, which are part of a run's identity."""
    replaced: Mapping[str, str] = field(default_factory=dict)
    """Keys that mean nothing beside them, each with the argument that takes its place."""
    reference_only: str = ""
    """Why no fused engine can train such models, in words that go on from "but"."""
    untrainable: str = ""
    """Why such models can be looked at but not trained."""


class UnknownFamilyError(KeyError):
    """There is no family of a name."""


EVERY_RUN: Final[dict[str, Callable[..., Any]]] = {}
"""Methods of every run by name, whatever its family: what rooms above the store add to it.

`superpos` names them.
"""

_registered: dict[str, Family] = {}


def register(family: Family) -> None:
    """Make a family known by its name in this process.

    Raises `TypeError` for anything else, `ValueError` for a name that another one has, or that is
    none of a module.
    """
    if not isinstance(family, Family):
        raise TypeError(f"got {family!r}; allowed: a superpos.family.Family")
    if not family.name.isidentifier() or iskeyword(family.name):
        raise ValueError(
            f"a family cannot be called {family.name!r}; allowed: a plain name, as of a Python "
            "module"
        )
    if ships(family.name) or _registered.get(family.name, family) != family:
        raise ValueError(
            f"there is a family {family.name!r} already; superpos.family.forget takes a registered "
            "one back"
        )
    _registered[family.name] = family


def forget(name: str) -> None:
    """Take back `register`, as before another version of a family is registered.

    Raises `UnknownFamilyError` for a name that was not.
    """
    if name not in _registered:
        raise UnknownFamilyError(name)
    del _registered[name]


def ships(name: str) -> bool:
    """Whether a family is part of superpos: every process knows it, also a job on a cluster."""
    return name in _shipped()


def names() -> list[str]:
    """Every family by name: those that ship with superpos, then those that were registered."""
    return [*_shipped(), *_registered]


def find(name: str) -> Family:
    """The family of a name: a folder of superpos, or what was registered.

    Raises `UnknownFamilyError`.
    """
    if name in _registered:
        return _registered[name]
    if name not in _shipped():
        raise UnknownFamilyError(name)
    family: Family = _imported(f"superpos.families.{name}:FAMILY")
    return family


def every() -> list[Family]:
    """All families."""
    return [find(name) for name in names()]


def hint_of_others(name: str, offered: Callable[[Family], Collection[str]]) -> str:
    """For the error that a run has nothing of a name: the families that offer it, or no text."""
    having = [family.name for family in every() if name in offered(family)]
    return f"it is for runs of family={' and '.join(having)}; " if having else ""


@cache
def _shipped() -> tuple[str, ...]:
    """Folders of superpos/families, the default first."""
    folder = Path(__file__).parent / "families"
    found = sorted(info.name for info in pkgutil.iter_modules([str(folder)]) if info.ispkg)
    return tuple(sorted(found, key=lambda name: name != DEFAULT))
