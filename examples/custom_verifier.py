"""A verifier is a plain function: None passes, a string is the critique.

The same file serves the command line:
    errata run chess --verifier chess-legality --verifier examples/custom_verifier.py:no_pawn_moves
"""

import chess

from agent import Question, compare


def no_pawn_moves(question: Question, answer: str) -> str | None:
    if answer.removeprefix("P")[:1].islower():
        return f"{answer} moves a pawn; move a piece instead."
    return None


START = Question(messages=(), prefix="1.", state={"fen": chess.STARTING_FEN})
no_pawn_moves.known_good = [(START, "Ng1f3"), (START, "O-O")]
no_pawn_moves.known_bad = [(START, "e2e4"), (START, "Pe2e4")]


def main() -> None:
    verifiers = ["chess-legality", no_pawn_moves]
    comparison = compare("chess", "tiny", verifiers=verifiers, episodes=4, horizon=10)
    for name, arm in comparison.arms.items():
        print(
            f"{name:<9} {arm.steps} moves, {arm.attempts.exhausted} without a pass, "
            f"{arm.attempts.per_step:.2f} attempts a move"
        )
    for name, verifier in comparison.verifiers.items():
        print(f"{name}: judged {verifier.judged}, errors {verifier.errors}")


if __name__ == "__main__":
    main()
