"""A checkpoint of `train.py` -> the weights that ship, in half precision.

python training/export.py run/last.pt agent/models/tiny/weights.safetensors
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from agent.models.tiny import tokenizer


def main() -> None:
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    state = torch.load(source)
    weights = {
        name: value.float().numpy().astype(np.float16)
        for name, value in state["net"].items()
        if not name.startswith("board.")  # a teacher, not part of the model
    }
    digest = hashlib.sha256(b"".join(weights[k].tobytes() for k in sorted(weights))).hexdigest()
    metadata = {
        "heads": str(state["size"]["heads"]),
        "vocabulary": json.dumps(tokenizer.fingerprint()),
        "fingerprint": digest[:16],
        "training_tokens": str(state["tokens"]),
        "training_minutes": f"{state['minutes']:.0f}",
    }
    save_file(weights, target, metadata)
    count = sum(v.size for v in weights.values())
    print(f"{count} parameters, {target.stat().st_size / 1e6:.1f} MB, {metadata}")


if __name__ == "__main__":
    main()
