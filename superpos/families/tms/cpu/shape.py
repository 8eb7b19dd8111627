"""What the compiled loop must know of a structure.

It follows from the structure alone, so a model's bits do too.
"""

from __future__ import annotations

from superpos.engines.compiled.vectors import LANES, WIDTH
from superpos.families.tms.cpu.arrays import Shape
from superpos.families.tms.cpu.tiny import is_tiny
from superpos.families.tms.data import sparse
from superpos.families.tms.fused import OPTIMIZERS, TARGETS, gradient_factor
from superpos.families.tms.structure import Structure

# Nominal operations of a part at least: some 20 microseconds, long beside a barrier.
_PART_WORK = 4e6
_MOST_PARTS = 32
_PART_MEMORY = 2**25  # parameters of all parts at most
# Up to here products over all features take no longer than over the active cells.
_FEW_FEATURES = 32


def shape_of(structure: Structure, samples: int | None = None) -> Shape:
    """The structure as the kernel wants it, or an evaluation on `samples` in one part."""
    n = structure.n_features
    m = structure.n_hidden
    sets = n_sets(structure)
    plain = structure.values == "uniform" and not structure.signed and not sets
    simple = structure.tied and structure.hidden == "linear" and structure.target == "identity"
    squares = structure.loss_power == 2
    tiny = plain and simple and squares and not structure.same_inputs and is_tiny(n, m)
    parts, part_samples = (1, samples) if samples else parts_of(structure)
    return Shape(
        n_features=n,
        n_hidden=m,
        relu_output=int(structure.output == "relu"),
        relu_hidden=int(structure.hidden == "relu"),
        tied=int(structure.tied),
        target=TARGETS[structure.target],
        plain=int(plain),
        sets=sets,
        tiny=int(tiny),
        finite=int(structure.same_inputs),
        sparse=int(structure.sampler == "sparse"),
        by_cells=int(structure.sampler == "sparse" and not tiny and n > _FEW_FEATURES),
        members=structure.set_size,
        words=sparse.rows(structure),
        sum_rows=n * m + n if tiny else n,
        samples=samples or structure.samples_per_step,
        parts=parts,
        part_samples=part_samples,
        optimizer=OPTIMIZERS[structure.optimizer],
        power=structure.loss_power,
        l1=structure.l1 / gradient_factor(structure),
        pull=structure.norm_pull,
        bias=int(structure.bias == "learned"),
        decayed=structure.n_params - (n if structure.frozen or structure.undecayed else 0),
        loss_every=structure.loss_every,
    )


def n_sets(structure: Structure) -> int:
    """Sets of correlated features, 0 where features are independent."""
    return structure.n_features // structure.set_size if structure.correlation != "none" else 0


def parts_of(structure: Structure) -> tuple[int, int]:
    """How many parts a batch has, and how many samples each but the last.

    The gradients of parts are summed in a fixed order, by however many threads: bits stay the same.
    """
    samples = structure.samples_per_step
    params = padded_params(structure)
    work = samples * structure.n_features * (10 * structure.n_hidden + 60)
    unit = sparse.SEGMENT if structure.sampler == "sparse" else LANES
    most = min(_MOST_PARTS, int(work // _PART_WORK), _PART_MEMORY // params)
    size = unit * -(-samples // (unit * max(most, 1)))
    return -(-samples // size), size


def padded_params(structure: Structure) -> int:
    """Parameters of a model, filled up to whole vectors."""
    return -(-structure.n_params // WIDTH) * WIDTH
