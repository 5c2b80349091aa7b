"""Hidden-state distillation: all tokens' states of several layers, then logits and labels.

Trivedi, Udagawa, Merler, Panda, El-Kurdi, Bhattacharjee: Neural Architecture Search for Effective Teacher-Student
Knowledge Transfer in Language Models, 2023 (KD-NAS, arXiv 2303.09639v2), multi-layer hidden-state transfer:

    L_HS = mean over tokens, student layers and units of (W h_i + b - [t_u(i) ; t_l(i)])^2
    u(i) = floor(i * L_T / L_S),   l(i) = L_T - L_S + i,   i = 0 .. L_S - 1, embeddings not counted

h and t are the layers' outputs, [;] puts two vectors end to end, W is (2 H_T, H_S). Padding does not count. The
projection is trained with the student and then dropped. As in TinyBERT (Jiao et al. 2020), a phase on logits and labels
may follow. README.md lists what the paper leaves open.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from distilgrid.core.errors import UserError
from distilgrid.methods.hidden_kd.declare import HiddenKD
from distilgrid.methods.kd.losses import KDObjective
from distilgrid.models.shapes import Sizes
from distilgrid.tasks.kind import TaskKind
from distilgrid.training.objective import Objective, Outputs, Phase, plain
from distilgrid.training.settings import Training


def imitated_layers(mapping: str, *, student: int, teacher: int) -> list[tuple[int, ...]]:
    """Teacher layers that each student layer imitates, counted from 0.

    >>> imitated_layers("uniform+last", student=4, teacher=12)
    [(0, 8), (3, 9), (6, 10), (9, 11)]
    """
    chosen = {"uniform": lambda i: i * teacher // student, "last": lambda i: teacher - student + i}
    return [tuple(chosen[name](i) for name in mapping.split("+")) for i in range(student)]


class Projection(nn.Module):
    """Linear maps from the student's states to the teacher's: one for all layers, or one for each."""

    def __init__(self, maps: int, *, inner: int, outer: int) -> None:
        super().__init__()
        self.maps = nn.ModuleList(nn.Linear(inner, outer) for _ in range(maps))

    def forward(self, outputs: Outputs) -> Outputs:
        """Outputs with projected token states (T, layers, outer), if there are any."""
        states = outputs.token_states
        if states is None:
            return outputs
        if len(self.maps) == 1:
            projected = self.maps[0](states)
        else:
            layers = zip(self.maps, states.unbind(dim=1), strict=True)
            projected = torch.stack([layer(part) for layer, part in layers], dim=1)
        return Outputs(outputs.logits, outputs.cls_states, projected.float())


class HiddenObjective(Objective):
    """The objective L_HS of phase `hidden`."""

    needs_tokens = True

    def __init__(self, settings: HiddenKD) -> None:
        self.settings = settings

    def companion(self, student: Sizes, teacher: Sizes | None, *, seed: int) -> nn.Module:
        """Projection of the student's states.

        Raises UserError when the student is deeper than the teacher, or there are no states to imitate.
        """
        if teacher is None:
            raise UserError("hidden_kd: the teacher leaves no hidden states of tokens; it learns from texts only")
        self.settings.check_sizes(student, teacher)
        maps = student.layers if self.settings.projection == "layer" else 1
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            width = len(self.settings.mapping.split("+")) * teacher.hidden
            return Projection(maps, inner=student.hidden, outer=width)

    def losses(self, labels: Tensor, student: Outputs, teacher: Outputs | None) -> dict[str, Tensor]:
        """The single term `hidden`. Raises UserError when student and teacher read different tokens."""
        assert teacher is not None and student.token_states is not None and teacher.token_states is not None
        own, theirs = student.token_states, teacher.token_states
        if len(own) != len(theirs):
            raise UserError(
                f"hidden_kd: of some rows the student reads {len(own)} tokens and the teacher {len(theirs)}; both need "
                "the same tokeniser and training.max_length"
            )
        layers = imitated_layers(self.settings.mapping, student=own.shape[1], teacher=theirs.shape[1])
        wanted = theirs[:, torch.tensor(layers)].flatten(2)  # (T, L_S, 2 H_T)
        return {"hidden": F.mse_loss(own, wanted.float())}


def hidden_phases(settings: HiddenKD, training: Training, *, kind: TaskKind) -> list[Phase]:
    """The phase on hidden states and, unless it is left out, that on logits and labels."""
    first, *rest = settings.staged(training)
    phases = plain(HiddenObjective(settings), first, name="hidden", selects=False)
    for second in rest:
        phases += plain(KDObjective(settings, kind=kind), second, name="task")
    return phases
