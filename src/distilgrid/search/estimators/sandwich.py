"""Training a supernet by the sandwich rule with in-place distillation.

Yu and Huang: Universally Slimmable Networks, 2019; Yu et al.: BigNAS, 2020. In each step

    L = L_KD(z_largest; teacher, labels) + sum over the smallest and n drawn sub-networks of d(z_largest, z_sub)

with d = T^2 KL(softmax(z_largest / T) || softmax(z_sub / T)), or the mean squared error of numbers, where z_largest is
a constant. The gradients of all sub-networks add up. Only the largest has dropout, as in BigNAS.
"""

import torch
from torch import Tensor

from distilgrid.core.errors import UserError
from distilgrid.core.fingerprint import derive_seed
from distilgrid.core.progress import progress
from distilgrid.methods.kd.losses import KDObjective
from distilgrid.search.architecture import Shape
from distilgrid.search.estimators.lessons import Lessons
from distilgrid.search.estimators.settings import SupernetSettings
from distilgrid.search.estimators.supernet import Supernet
from distilgrid.tasks.batching import Inputs, Rows
from distilgrid.training.checkpoint import NOWHERE, Checkpoints, Saved
from distilgrid.training.cpu.vocabulary import cut_vocabulary
from distilgrid.training.objective import Outputs, plain
from distilgrid.training.optimiser import Optimiser, parameter_groups
from distilgrid.training.steps import plan_steps
from distilgrid.training.weights import FlatParameters


class Sandwich:
    """One training run of a supernet in fp32: `run` trains it in place, from the last saved state if there is one.

    `seed` is that of shuffling, dropout and drawn sub-networks. `losses` has, for each step, the loss of the largest
    sub-network and the sum of the others' losses.
    """

    def __init__(
        self, supernet: Supernet, lessons: Lessons[SupernetSettings], *, seed: int, checkpoints: Checkpoints = NOWHERE
    ) -> None:
        self.supernet, self.settings, self.seed = supernet, lessons.settings, seed
        self.placement = lessons.placement
        model, training, rows = supernet.model, lessons.training, lessons.rows
        self.vocabulary = cut_vocabulary(model, [rows.encodings], optimisers={training.optimiser})
        self.rows, self.teacher = Rows(self.vocabulary.renumbered(rows.encodings), rows.labels), lessons.teacher
        self.kind = lessons.dataset.task_kind
        self.objective = KDObjective(self.settings.method, kind=self.kind)
        (self.stretch,) = plan_steps(plain(self.objective, training), rows.encodings.lengths, seed=seed)
        model.to(self.placement.device)
        self.teacher.move(self.placement.device)
        groups = parameter_groups(model, layers=model.config.num_hidden_layers, layered=False)
        self.flat = FlatParameters(groups, compute=torch.float32)
        self.optimiser = Optimiser(self.flat, training, steps=len(self.stretch))
        self.checkpoints, self.decay = checkpoints, 1.0
        self.losses: list[list[float]] = []

    def run(self) -> None:
        """Run the remaining steps.

        Raises UserError when the loss is not finite. Raises Interrupted when the process was asked to stop; the state
        is saved.
        """
        done = self._resume()
        steps = range(done + 1, len(self.stretch) + 1)
        for step in progress(steps, total=len(steps), label="training the supernet"):
            self.decay *= self.optimiser.unseen_decay()
            self.losses.append(self.collect(step))
            self.optimiser.step()
            self.flat.zero_grad()
            if self.checkpoints.due(step, last=step == len(self.stretch)):
                tensors = {"weights": self.flat.values, **self.optimiser.state()}
                values = {"decay": self.decay, "losses": self.losses}
                self.checkpoints.save(Saved(step=step, tensors=tensors, values=values))
        self.flat.release()
        self.supernet.model.to("cpu")
        self.vocabulary.restore(decay=self.decay)

    def others(self, step: int) -> list[Shape]:
        """Sub-networks of a step in addition to the largest: the smallest, and the drawn ones."""
        drawn = self.supernet.space.sample(self.settings.drawn, seed=derive_seed(self.seed, f"shapes {step}"))
        return [self.supernet.smallest, *drawn]

    def collect(self, step: int) -> list[float]:
        """Add up the gradients of a step's sub-networks; return the loss of the largest and the sum of the others'."""
        batch = self.stretch.batches(step)[0]
        device = self.placement.device
        inputs = {name: values.to(device) for name, values in self.rows.encodings.batch(batch).items()}
        torch.manual_seed(derive_seed(self.seed, f"dropout {step}"))
        logits = self._logits(self.supernet.largest, inputs, training=True)
        labels = self.rows.labels[batch].to(device)
        terms = self.objective.losses(labels, Outputs(logits), self.teacher.outputs(batch).to(device))
        losses = [_backward(torch.stack(list(terms.values())).sum()), 0.0]
        for shape in self.others(step):
            others = self._logits(shape, inputs, training=False)
            distance = self.kind.losses().soft(others, logits.detach(), temperature=self.settings.temperature)
            losses[1] += _backward(distance)
        if not all(map(torch.isfinite, torch.tensor(losses))):
            raise UserError(f"the supernet's loss is not finite in step {step}; lower its learning_rate")
        return losses

    def _logits(self, shape: Shape, inputs: Inputs, *, training: bool) -> Tensor:
        with self.placement.autocast():
            logits = self.supernet.forward(shape, inputs, training=training)
        return logits.float()

    def _resume(self) -> int:
        saved = self.checkpoints.load()
        if saved is None:
            return 0
        self.flat.values.copy_(saved.tensors["weights"])
        self.optimiser.load_state(saved.tensors, updates=saved.step)
        self.decay, self.losses = saved.values["decay"], saved.values["losses"]
        return saved.step


def _backward(loss: Tensor) -> float:
    loss.backward()
    return float(loss.detach())
