"""A program is judged by tests in the sandbox, corrected by its critique, and judged again.

python examples/code_with_tests.py
"""

import asyncio

from agent.arms import arm
from agent.loop import rollout
from agent.models.scripted import ScriptedModel
from agent.verification import Check
from tasks.code.problems import shipped
from tasks.code.task import Code
from verifiers.code_run import CodeRun

task = Code(horizon=1, set="functions", grade="1")
asked = task.question(task.start(seed=3)).state["problem"]
function = next(p.steps[0] for p in shipped("functions") if p.id == asked)

# Any model will do: tiny, openai:NAME, langchain:PROVIDER:NAME. This one errs, then is right.
model = ScriptedModel([function.wrong[-1], function.solution])
critique = arm("critique").with_checks([Check.of(CodeRun())])

trace = asyncio.run(rollout(task, model, critique, seed=3))
[step] = trace.steps
print(step.question.messages[-1].content, "\n")
for number, attempt in enumerate(step.attempts, start=1):
    [verdict] = attempt.verdicts
    print(f"attempt {number}: {verdict.outcome} ({verdict.evidence['isolation']})")
    print(f"  {verdict.critique}" if verdict.critique else "  every visible test passes")
print("hidden tests:", "pass" if task.score(step.question, step.answer).correct else "fail")
