"""Train a network of the embedded model: one course a file of weights.

    python training/train.py chess --data games.npz --held held.npz --out run/ --minutes 90
    python training/train.py chess --data games.npz --corrections corrections.npz \\
        --held held.npz --resume run/last.pt --out run2/ --minutes 40 --decay 1
    python training/train.py skills --games games.txt.gz --out skills/ --minutes 90

A course is a class with its sizes, its `losses` by name and weight, an endless supply of
`batches`, the `loss` of one (a tensor in the order of the names) and an `evaluate`.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

import torch
from games import Chess
from network import Network
from texts import Skills

COURSES = {"chess": Chess, "skills": Skills}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    courses = parser.add_subparsers(dest="course", required=True)
    for name, course in COURSES.items():
        options(courses.add_parser(name), course)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    if args.precision == "float32":
        torch.optim._muon._zeropower_via_newtonschulz = orthogonal
    train(COURSES[args.course](args), args)


def options(parser: argparse.ArgumentParser, course: type) -> None:
    course.options(parser)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--minutes", type=float, default=90)
    parser.add_argument("--decay", type=float, default=0.0, help="last share of the time")
    for name, default in course.size.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--tokens", type=int, default=6144, help="tokens in a batch")
    parser.add_argument("--muon-lr", type=float, default=0.012)
    parser.add_argument("--adam-lr", type=float, default=2e-3)
    parser.add_argument("--warmup", type=int, default=200, help="steps of rising rate")
    parser.add_argument("--precision", choices=["bfloat16", "float32"], default="bfloat16",
                        help="of products; without AVX-512 the processor has no fast bfloat16")  # fmt: skip
    parser.add_argument("--eager", action="store_true",
                        help="don't compile: for networks that train for minutes")  # fmt: skip
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", type=int, default=100, help="steps between lines")
    parser.add_argument("--seed", type=int, default=0)


def network(course: type | object, size: dict[str, int]) -> Network:
    """An untrained network of a course."""
    return Network(course.vocabulary, **size, probe=course.probe, probe_layer=course.probe_layer)


def orthogonal(grad, coefficients, steps, eps):
    """Muon's Newton-Schulz iteration in the precision of the gradient.

    torch's own works in bfloat16, which a processor without such products emulates slowly.
    """
    a, b, c = coefficients
    x = grad.T if grad.size(0) > grad.size(1) else grad
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if grad.size(0) > grad.size(1) else x


def train(course: object, args: argparse.Namespace) -> None:
    net = network(course, {name: getattr(args, name) for name in course.size})
    matrices = [p for n, p in net.named_parameters() if p.ndim == 2 and "blocks" in n]
    others = [p for n, p in net.named_parameters() if not (p.ndim == 2 and "blocks" in n)]
    optimizers = [
        torch.optim.Muon(matrices, lr=args.muon_lr, weight_decay=0.01, momentum=0.95),
        torch.optim.AdamW(others, lr=args.adam_lr, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    done_tokens, done_minutes = 0, 0.0
    if args.resume:
        state = torch.load(args.resume)
        net.load_state_dict(state["net"])
        done_tokens, done_minutes = state["tokens"], state["minutes"]
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
    torch._dynamo.config.cache_size_limit = 32
    loss = course.loss if args.eager else torch.compile(course.loss, dynamic=False)
    base = [args.muon_lr, args.adam_lr]

    stream = course.batches(args.tokens, args.seed)
    weight = torch.tensor(list(course.losses.values()))
    began, step, running = time.time(), 0, torch.zeros(len(weight))
    reported = saved_at = began
    while (elapsed := (time.time() - began) / 60) < args.minutes:
        left = 1 - elapsed / args.minutes
        scale = min(1.0, left / args.decay) if args.decay else 1.0
        scale *= min(1.0, (step + 1) / args.warmup)
        for optimizer, lr in zip(optimizers, base, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = lr * scale
        batch = next(stream)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bfloat16"):
            parts = loss(net, batch)
        (parts * weight).sum().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        running += parts.detach()
        step += 1
        done_tokens += batch["tokens"].numel()
        if step % args.report == 0:
            now = time.time()
            rate = args.report * args.tokens / (now - reported)
            means = zip(course.losses, (running / args.report).tolist(), strict=True)
            shown = {k: round(v, 4) for k, v in means}
            line = {"step": step, "minutes": round(elapsed, 1), "tokens": done_tokens,
                    "rate": round(rate), "lr": round(scale, 3), **shown}  # fmt: skip
            if step % 1000 == 0 or now - saved_at > 300:
                line |= course.evaluate(net)
                save(args.out / "last.pt", net, optimizers, done_tokens, done_minutes + elapsed)
                saved_at = now
            print(json.dumps(line), flush=True)
            running.zero_()
            reported = time.time()
    print(json.dumps({"final": True, "tokens": done_tokens, **course.evaluate(net)}), flush=True)
    save(args.out / "last.pt", net, optimizers, done_tokens, done_minutes + args.minutes)


def save(path: Path, net: Network, optimizers: list, tokens: int, minutes: float) -> None:
    """Written aside and renamed, so that a kill never leaves half a checkpoint."""
    state = {"net": net.state_dict(), "size": net.size, "tokens": tokens, "minutes": minutes,
             "optimizers": [o.state_dict() for o in optimizers]}  # fmt: skip
    torch.save(state, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


if __name__ == "__main__":
    main()
