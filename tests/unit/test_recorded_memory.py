"""Hidden states of many rows: recorded and learned from in less memory than they take."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.conftest import BAD, FILLER, GOOD, ROOT, VOCABULARY
from tests.unit.made import finetune, prepare
from tests.unit.narrow import TRAINING
from transformers import BertConfig, BertModel, BertTokenizerFast

from distilgrid.tasks.settings import Data
from distilgrid.tasks.spec import TaskSpec

pytestmark = pytest.mark.chain

ROWS, WORDS, LAYERS, WIDTH = 1400, 28, 16, 96
LIMIT = 48  # MiB, less than half of the states


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of long texts, and a teacher of many layers, whose states take 3 KiB for each token."""
    folder, chooser = tmp_path_factory.mktemp("narrow"), random.Random(0)
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 1, "intermediate_size": 8}
    config = BertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=32, **sizes)
    BertModel(config).save_pretrained(folder / "model")
    BertTokenizerFast(vocab={word: i for i, word in enumerate(VOCABULARY)}).save_pretrained(folder / "model")
    rows = [f"{' '.join(chooser.choices([*FILLER, *GOOD, *BAD], k=WORDS))},{'ab'[i % 2]}\n" for i in range(ROWS)]
    (folder / "rows.csv").write_text("text,label\n" + "".join(rows))
    spec = TaskSpec(source=f"csv:{folder / 'rows.csv'}", text=["text"], label="label")
    prepare(task="long", spec=spec, data=Data(max_dev_rows=16), out=folder / "data")
    given = {"source": f"path:{folder / 'model'}", "training": TRAINING, "seed": 0, "labels": {}}
    finetune(data=folder / "data", out=folder / "teacher", fraction=0.01, **given)
    return folder


def test_hidden_states_may_exceed_the_memory(work: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    command = [sys.executable, "-m", "tests.unit.narrow", str(work), str(LIMIT)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    states = (work / "share-1.0" / "outputs" / "train.safetensors").stat().st_size
    assert states > 2 * LIMIT * 2**20
    assert int(done.stdout) < LIMIT, "pages of files count, too"
    saved = [(work / "share-1.0" / name / "model.safetensors").read_bytes() for name in ("recorded", "live")]
    assert saved[0] == saved[1]
