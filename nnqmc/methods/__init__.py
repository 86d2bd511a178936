"""The algorithms, each readable on one or two screens: pretraining, training, evaluation."""

from nnqmc.methods.evaluate import Evaluation, Measurement, doubts, evaluate, make_measurement
from nnqmc.methods.pretrain import Pretrained, pretrain
from nnqmc.methods.sampling import burn_in
from nnqmc.methods.train import finish, is_bad, train
from nnqmc.methods.vmc import init_state, make_local_energy, make_log_density, make_step

__all__ = ["Evaluation", "Measurement", "Pretrained", "burn_in", "doubts", "evaluate", "finish", "init_state",
           "is_bad", "make_local_energy", "make_log_density", "make_measurement", "make_step", "pretrain", "train"]
