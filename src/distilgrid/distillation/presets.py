"""Methods that a grid can name without defining them: the baselines, and those of papers under their papers' names."""

from distilgrid.distillation.settings import KD, PKD, AnnealingKD, ContinuationKD, Finetune, Method, MixKD

PRESETS: dict[str, Method] = {
    "finetune": Finetune(),
    "kd": KD(),
    "pkd": PKD(),
    "tmkd": MixKD(alpha_sm=0.0),  # MixKD with the teacher on mixed samples only; `tmkd` with an augmentation is TMKD+BT
    "sm-tmkd": MixKD(),  # and the student's own mixup beside it
    "annealing-kd": AnnealingKD(),
    "continuation-kd": ContinuationKD(),
}
