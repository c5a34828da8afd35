"""Two commands that learn into one folder, the second at any moment of the first.

The rule: every run folder at the end holds the files of one run; whoever finds the folder taken
exits with code 2 and a sentence that names the process which has it; no run that was there is lost.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from hypothesis import strategies as st

from attacks import children, victims
from attacks.children import Child, Ended
from attacks.harness import BrokenRuleError, Plan
from attacks.victims import CATEGORY, MODELS, KindOfRuns


class Pairs(KindOfRuns):
    """Two processes in one folder."""

    name = "pairs"
    count = 40

    def plans(self) -> st.SearchStrategy[Plan]:
        """Plain commands and --resume, the second after a share of the time that one takes."""
        command = st.sampled_from(["plain", "resume"])
        return st.fixed_dictionaries(
            {
                "model": st.sampled_from(MODELS),
                "existing": st.booleans(),
                "commands": st.lists(command, min_size=2, max_size=2),
                "after": st.integers(0, 1050).map(lambda n: n / 1000)
                | st.integers(0, 99).map(lambda n: n / 1000),
            }
        )

    def attempt(self, plan: Plan) -> None:
        """Start both, and look at what they leave."""
        output = self.victims.folder()
        try:
            if plan["existing"]:
                shutil.copytree(self.victims.run(plan["model"]), output / CATEGORY)
            self._both(plan, output)
        finally:
            shutil.rmtree(output)

    def _both(self, plan: Plan, output: Path) -> None:
        model, first, ended = plan["model"], None, []
        seconds = self.victims.seconds(model)
        children_of_both = []
        for i, command in enumerate(plan["commands"]):
            # A plain command has a seed of its own; one that goes on has that of the run.
            more = ["--resume"] if command == "resume" else []
            seed = 0 if more else i + 1
            child = Child(self.victims.main(model, output, *more, seed=seed))
            children_of_both.append(child)
            if first is None:
                first = child
                first.runs_until(first.start + plan["after"] * seconds)
        ended = [child.wait() for child in children_of_both]
        for each in ended:
            children.check(each)
        for i, each in enumerate(ended):
            self._check_refusal(each, children_of_both[1 - i].pid)
        self._check_folders(plan, output, ended)

    def _check_refusal(self, ended: Ended, owner: int) -> None:
        """That a command which was refused says why."""
        if ended.code == 0 or any(words in ended.errors for words in victims.NO_CHECKPOINT):
            return
        self.hits += 1
        if str(owner) in ended.said[0] or "was made with --seed" in ended.said[0]:
            return
        raise BrokenRuleError("refused without the owner's process id", ended.said[0])

    def _check_folders(self, plan: Plan, output: Path, ended: list[Ended]) -> None:
        """That each run is whole, and none lost."""
        seeds = []
        for folder in sorted(output.iterdir()):
            if not folder.name.startswith(CATEGORY):
                continue
            if not (folder / "config.json").is_file():
                raise BrokenRuleError("a folder without config.json is left", folder.name)
            seed = json.loads((folder / "config.json").read_text())["seed"]
            victims.same_run(folder, self.victims.run(plan["model"], seed))
            seeds.append(seed)
        expected = [0] if plan["existing"] else []
        for i, command in enumerate(plan["commands"]):
            if command == "plain" and ended[i].code == 0:
                expected.append(i + 1)
        if sorted(seeds) != sorted(expected):
            raise BrokenRuleError(
                "runs are lost or there are too many", f"seeds {seeds}, not {expected}"
            )
        if not any(each.code == 0 for each in ended) and (
            plan["existing"] or "plain" in plan["commands"]
        ):
            raise BrokenRuleError("nobody won", "\n".join(e.said[0] for e in ended))
