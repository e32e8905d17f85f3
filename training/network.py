"""The network in torch, for training. `agent/models/tiny/network.py` is its numpy twin."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)
        self.norm1 = nn.RMSNorm(width, eps=1e-5)
        self.norm2 = nn.RMSNorm(width, eps=1e-5)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.down.weight)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], hidden: Tensor) -> Tensor:
        b, t, d = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, d // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        # Plain products: at this size they beat the fused kernel on processors, whose
        # backward pass takes a third of the whole step.
        scores = rotate(q, rotation) @ rotate(k, rotation).transpose(-1, -2)
        scores = scores * (d // self.heads) ** -0.5
        y = scores.masked_fill(hidden, -1e4).softmax(-1) @ v
        x = x + self.out(y.transpose(1, 2).reshape(b, t, d))
        return x + self.down(F.relu(self.up(self.norm2(x))).square())


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = rotation
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1)


class Network(nn.Module):
    """Decoder with tied embeddings; `probe` is the auxiliary head, dropped at export."""

    def __init__(
        self, vocabulary: int, width: int, layers: int, heads: int, probe: int, probe_layer: int
    ) -> None:
        super().__init__()
        self.size = {"width": width, "layers": layers, "heads": heads}
        self.embedding = nn.Embedding(vocabulary, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.probe = nn.Linear(width, probe, bias=False)
        self.probe_layer = probe_layer
        nn.init.normal_(self.embedding.weight, std=0.02)
        half = width // heads // 2
        angles = torch.outer(torch.arange(1024.0), 10000.0 ** (-torch.arange(half) / half))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(
        self, tokens: Tensor, positions: Tensor | None = None, hidden: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """tokens [b, t] -> final hidden state [b, t, d] and the probed one [b, t, d].

        `positions` [b, t] and `hidden` [b, 1, t, t] (true: can't be seen) let many
        continuations of one text be run together; by default a plain causal text.
        """
        t = tokens.shape[1]
        x = self.embedding(tokens)
        where = slice(0, t) if positions is None else positions.unsqueeze(1)
        rotation = (self.cos[where].to(x.dtype), self.sin[where].to(x.dtype))
        if hidden is None:
            hidden = torch.ones(t, t, dtype=torch.bool).triu(1)
        probed = x
        for i, block in enumerate(self.blocks):
            x = block(x, rotation, hidden)
            if i == self.probe_layer:
                probed = x
        return self.norm(x), probed

    def logits(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.embedding.weight)
