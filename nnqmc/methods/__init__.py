"""The algorithms, each readable on one or two screens: pretraining, training, evaluation."""

from nnqmc.methods.evaluate import (
    Evaluation,
    Measurement,
    Progress,
    doubts,
    evaluate,
    make_look,
    make_measurement,
    measurement_by_steps,
)
from nnqmc.methods.pretrain import Pretrained, pretrain
from nnqmc.methods.train import burn_in, finish, is_bad, train
from nnqmc.methods.vmc import (
    Step,
    init_state,
    make_local_energy,
    make_log_density,
    make_step,
    make_update,
    make_walk,
)

__all__ = ["Evaluation", "Measurement", "Pretrained", "Progress", "Step", "burn_in", "doubts", "evaluate", "finish",
           "init_state", "is_bad", "make_local_energy", "make_log_density", "make_look", "make_measurement",
           "make_step", "make_update", "make_walk", "measurement_by_steps", "pretrain", "train"]
