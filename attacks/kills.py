"""Commands that learn, ended by signals at any moment: start-up, learning, writing, the end.

The rule: the exit code says which signal; nothing is printed but a sentence; --resume (or, where
there was no checkpoint, the same command) ends with the very bits of a run that nobody disturbed.
"""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

from hypothesis import strategies as st

from attacks import children, victims
from attacks.children import Child
from attacks.harness import BrokenRuleError, Plan
from attacks.victims import MODELS, KindOfRuns

# Exit codes as a shell says them.  0: it ended by itself first, or in an orderly way after an
# iteration, with everything written.
CODES = {"KILL": {137}, "TERM": {143}, "HUP": {129}, "INT": {130}}
SIGNALS = {name: getattr(signal, f"SIG{name}") for name in CODES}


class Kills(KindOfRuns):
    """Killed commands."""

    name = "kills"
    count = 75

    def plans(self) -> st.SearchStrategy[Plan]:
        """One or two signals, each after a share of the time that the command takes."""
        blow = st.tuples(
            st.sampled_from(list(SIGNALS)), st.integers(0, 970).map(lambda n: n / 1000)
        ).map(list)
        return st.fixed_dictionaries(
            {
                "model": st.sampled_from(MODELS),
                "fresh": st.integers(0, 3).map(lambda n: n == 3),
                "blows": st.lists(blow, min_size=1, max_size=2),
                "burst": st.integers(1, 2),  # Ctrl-C twice
            }
        )

    def attempt(self, plan: Plan) -> None:
        """Start, kill, perhaps go on and kill again, and go on to the end."""
        output = self.victims.folder()
        try:
            for i, (name, share) in enumerate(plan["blows"]):
                self.strike(plan, name, share, output, ["--resume"] if i else [])
            victims.go_on(self.victims, plan["model"], output)
        finally:
            shutil.rmtree(output)

    def strike(self, plan: Plan, name: str, share: float, output: Path, more: list[str]) -> None:
        """Run the command, and send it a signal."""
        model = plan["model"]
        length = self.victims.seconds(model, plan["fresh"]) if share else 0.0
        child = Child(self.victims.main(model, output, *more), fresh=plan["fresh"])
        if child.runs_until(child.start + share * length):
            child.signal(SIGNALS[name])
            self.hits += 1
            for _ in range(plan["burst"] - 1):
                if child.runs_until(time.monotonic() + 0.05):
                    child.signal(SIGNALS[name])
        ended = child.wait()
        trace = "Traceback" in ended.errors
        if trace and plan["fresh"] and str(children.ROOT) + "/" not in _own(ended.errors):
            return  # Python's own start-up, before the first line of the project
        children.check(ended, (0, 2, *CODES[name]))
        if ended.code == 2 and not more:
            raise BrokenRuleError(f"exit code 2 after SIG{name}", "\n".join(ended.said))


def _own(errors: str) -> str:
    """The lines of a trace that are of the project, and not of the libraries in its folder."""
    return "\n".join(line for line in errors.splitlines() if "site-packages" not in line)
