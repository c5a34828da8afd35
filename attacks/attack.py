"""Attack everything that the project reads, writes and is told, and count what did not hold.

Image files with damage, run folders with damage, flags past their limits, commands that are killed,
disks that are full, two commands in one folder.  It ends with a table: what was tried; what of it
hit (a file that was refused, a process that was killed, a disk that was full); what failed.  Exit
code 1 if anything failed.  The same seed makes the same attempts.

Example: python attacks/attack.py --seed 3 --kinds images kills --scale 0.1
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT / "DesNet", ROOT / "GenNet", ROOT):
    sys.path.insert(0, str(folder))

from attacks import harness  # noqa: E402
from attacks.disks import Disks  # noqa: E402
from attacks.harness import BrokenRuleError, Kind, Tally  # noqa: E402
from attacks.images import Images  # noqa: E402
from attacks.kills import Kills  # noqa: E402
from attacks.pairs import Pairs  # noqa: E402
from attacks.run_folders import RunFolders  # noqa: E402
from attacks.settings import Flags, Learning  # noqa: E402
from common import flags  # noqa: E402

ALL: tuple[type[Kind], ...] = (Images, Flags, Learning, RunFolders, Kills, Disks, Pairs)
KINDS = {kind.name: kind for kind in ALL}


def make_parser() -> flags.Parser:
    """The flags, each with its default."""
    parser = flags.Parser("attacks/attack.py", __doc__)
    add = parser.add_argument
    add("--seed", type=flags.whole(0, 2**31 - 1), default=0, help="of all attempts")
    add(
        "--kinds",
        nargs="+",
        choices=list(KINDS),
        default=list(KINDS),
        metavar="KIND",
        help=f"which attacks, of {', '.join(KINDS)}",
    )
    add("--scale", type=flags.number(0, 1000), default=1.0, help="of the number of attempts")
    add("--count", type=flags.whole(1, 10**9), help="attempts of each kind, whatever the scale")
    add("--again", nargs="+", metavar="PLAN", help="make attempts again, as failures say them")
    return parser


def attack(names: list[str], seed: int, scale: float, count: int | None) -> dict[str, Tally]:
    """Make the attempts of some kinds, and print each cause of failure."""
    tallies = {}
    for name in names:
        kind, tally = KINDS[name](), Tally()
        number = count or max(1, round(kind.count * scale))
        tallies[name] = tally
        try:
            with tqdm(total=number, desc=name, dynamic_ncols=True) as bar:
                harness.run(kind, seed, number, tally, bar.update)
        except KeyboardInterrupt:
            print("stopped")
            break
        finally:
            kind.close()
            if tally.failed:
                print(harness.describe(name, seed, tally), flush=True)
    return tallies


def again(kind: Kind, plan: dict) -> bool:
    """Make one attempt; whether the rule held."""
    try:
        kind.attempt(plan)
    except BrokenRuleError as failure:
        print(f"FAILED {kind.name}: {failure.cause}\n{failure.details}")
        return False
    finally:
        kind.close()
    print(f"{kind.name}: the rule held")
    return True


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exit code 1 if an attack succeeded."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    tqdm.monitor_interval = 0  # no thread of tqdm's in a process that forks
    if args.again:
        try:
            plans = [json.loads(text) for text in args.again]
            kinds = [KINDS[plan.pop("kind")] for plan in plans]
        except (ValueError, KeyError, AttributeError):
            parser.error("--again: no plan, as a failure prints it")
        held = [again(kind(), plan) for kind, plan in zip(kinds, plans, strict=True)]
        sys.exit(not all(held))
    tallies = attack(args.kinds, args.seed, args.scale, args.count)
    print(harness.table(tallies))
    print(f"seed {args.seed}: --seed {args.seed} makes the same attempts again")
    sys.exit(any(tally.failed for tally in tallies.values()))


if __name__ == "__main__":
    main()
