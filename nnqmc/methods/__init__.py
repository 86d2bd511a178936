"""The algorithms: pretraining, training steps and their loop, and evaluation."""

from nnqmc.methods.evaluate import EvaluationState, evaluate
from nnqmc.methods.evaluation import Evaluation, reasons_not_to_trust
from nnqmc.methods.fit import is_fitted
from nnqmc.methods.identity import observables_identity
from nnqmc.methods.lava import Lava
from nnqmc.methods.measurement import Measurement, make_measure_step, make_measurement, to_host
from nnqmc.methods.pretrain import Pretrained, pretrain
from nnqmc.methods.train import burn_in, finish, is_bad, seconds_of_parts, train
from nnqmc.methods.vmc import (
    VMC,
    Step,
    init_state,
    make_local_energy,
    make_log_density,
    make_step,
    make_update,
    make_walk,
)
from nnqmc.methods.wasserstein import Wasserstein

__all__ = ["VMC", "Evaluation", "EvaluationState", "Lava", "Measurement", "Pretrained", "Step", "Wasserstein",
           "burn_in", "evaluate", "finish", "init_state", "is_bad", "is_fitted", "make_local_energy",
           "make_log_density", "make_measure_step", "make_measurement", "make_step", "make_update", "make_walk",
           "observables_identity", "pretrain", "reasons_not_to_trust", "seconds_of_parts", "to_host", "train"]
