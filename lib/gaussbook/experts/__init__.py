r"""Gaussian mixtures of linear experts behind a softmax gate: dense, top-K or with a temperature.

.. math::
    g(y\mid x)=\sum_{i=1}^k w_i(x)\,N\bigl(y\mid a_i^\top x+b_i,\sigma_i^2\bigr),\qquad
    w_i(x)=\frac{e^{z_i(x)}\,1\{i\text{ active at }x\}}{\sum_{j\text{ active}}e^{z_j(x)}},\qquad
    z_i(x)=\frac{\alpha(\beta_{1i}^\top x)+\beta_{0i}}{\tau}

with an activation :math:`\alpha` (the identity unless stated) and a temperature :math:`\tau`.
Everything is batched over replications of an experiment (leading axis B), and what belongs to
points and experts has shape (B, k, n): reductions over the few experts are then long vector
operations.

A second part trains layers of neural experts that live on different devices: a `Communicator` moves
and counts, with all devices in one process or by MPI, and `train` is the program of the devices.
"""

from gaussbook.experts.communicator import (
    Communicator,
    InProcessCommunicator,
    MpiCommunicator,
)
from gaussbook.experts.estimation import Fit, fit, gradient, refine
from gaussbook.experts.model import (
    Experts,
    Gate,
    conditional_density,
    gate_log_weights,
    log_likelihood,
    topk_gate,
)
from gaussbook.experts.sharding import (
    History,
    Job,
    MpiUnavailableError,
    destinations,
    train,
    train_with_mpi,
)
from gaussbook.experts.voronoi import voronoi_loss

__all__ = [
    "Communicator",
    "Experts",
    "Fit",
    "Gate",
    "History",
    "InProcessCommunicator",
    "Job",
    "MpiCommunicator",
    "MpiUnavailableError",
    "conditional_density",
    "destinations",
    "fit",
    "gate_log_weights",
    "gradient",
    "log_likelihood",
    "refine",
    "topk_gate",
    "train",
    "train_with_mpi",
    "voronoi_loss",
]
