"""Checkpoints of `train.py` -> a file of weights that ships, in half precision.

    python training/export.py agent/models/tiny/weights.safetensors run/last.pt
    python training/export.py agent/models/tiny/skills.safetensors hanoi.=h/last.pt code.=c/last.pt

Several networks share a file, each with a part of its own before its names.
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
from agent.models.tiny import text, tokenizer


def main() -> None:
    target = Path(sys.argv[1])
    networks = dict(argument.rpartition("=")[::2] for argument in sys.argv[2:])
    weights: dict[str, np.ndarray] = {}
    vocabulary = text if any(networks) else tokenizer
    metadata = {"vocabulary": json.dumps(vocabulary.fingerprint())}
    for part, source in networks.items():
        state = torch.load(source)
        weights |= {
            part + name: value.float().numpy().astype(np.float16)
            for name, value in state["net"].items()
            if not name.startswith("probe.")  # a teacher, not part of the model
        }
        metadata |= {
            f"{part}heads": str(state["size"]["heads"]),
            f"{part}training_tokens": str(state["tokens"]),
            f"{part}training_minutes": f"{state['minutes']:.0f}",
        }
    digest = hashlib.sha256(b"".join(weights[k].tobytes() for k in sorted(weights))).hexdigest()
    metadata["fingerprint"] = digest[:16]
    save_file(weights, target, metadata)
    count = sum(v.size for v in weights.values())
    print(f"{count} parameters, {target.stat().st_size / 1e6:.1f} MB, {metadata}")


if __name__ == "__main__":
    main()
