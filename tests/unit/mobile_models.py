"""Tiny random models, their inputs and torch's logits, for the tests of mobile runtimes."""

from typing import Any

import numpy as np
import torch
from tests.unit.word_models import CONFIGS, VOCABULARY
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from distilgrid.models.resnet import ResNet, ResNetConfig
from distilgrid.runtimes.base import Sample, Session

LONGEST = 24
SHAPES = ((1, 1), (1, 17), (3, 5), (2, LONGEST))


def text_model(kind: str = "bert") -> PreTrainedModel:
    """A classifier of one layer whose logits differ between texts."""
    torch.manual_seed(1)
    config = CONFIGS[kind]()
    config.num_hidden_layers, config.initializer_range = 1, 0.3
    return AutoModelForSequenceClassification.from_config(config, attn_implementation="eager").eval()


def image_model() -> ResNet:
    """A ResNet of three blocks for images of 8 x 8, with the statistics of a trained one."""
    torch.manual_seed(1)
    sizes: dict[str, Any] = {"num_channels": 3, "image_size": (8, 8), "num_labels": 3}
    model = ResNet(ResNetConfig(**sizes)).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_()
    return model


def texts(kind: str, batch: int, length: int) -> dict[str, torch.Tensor]:
    """Random tokens; the last row is padded from its middle on."""
    ids = torch.randint(5, len(VOCABULARY), (batch, length))
    mask = torch.ones_like(ids)
    mask[-1, (length + 1) // 2 :] = 0
    ids[mask == 0] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    return inputs if kind != "bert" else {**inputs, "token_type_ids": torch.zeros_like(ids)}


def pixels(batch: int) -> dict[str, torch.Tensor]:
    """Random images, channels last in memory as in training."""
    values = torch.randint(0, 256, (batch, 3, 8, 8), dtype=torch.uint8)
    return {"pixel_values": values.contiguous(memory_format=torch.channels_last)}


def text_sample(kind: str = "bert") -> Sample:
    """What a conversion of texts looks at."""
    return Sample(texts(kind, 2, 12), [], LONGEST)


def image_sample() -> Sample:
    """What a conversion of images looks at."""
    return Sample(pixels(2), [pixels(1) for _ in range(16)], None)


def differences(model: PreTrainedModel, session: Session, inputs: dict[str, torch.Tensor]) -> float:
    """The largest difference of logits between torch and a runtime."""
    with torch.inference_mode():
        expected = model(**inputs).logits.numpy()
    actual = bound(session, inputs)()
    assert actual.dtype == np.float32 and actual.shape == expected.shape
    return float(np.abs(actual - expected).max())


def agreement(model: PreTrainedModel, session: Session, inputs: dict[str, torch.Tensor]) -> float:
    """The share of rows to which a runtime gives torch's label."""
    with torch.inference_mode():
        expected = model(**inputs).logits.argmax(1).numpy()
    return float((bound(session, inputs)().argmax(1) == expected).mean())


def bound(session: Session, inputs: dict[str, torch.Tensor]) -> Any:
    """A call of a session on tensors."""
    return session.bind({name: values.numpy() for name, values in inputs.items()})
