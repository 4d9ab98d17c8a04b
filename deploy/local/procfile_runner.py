"""honcho over the named entries of the Procfile, with a longer grace than the `honcho` command gives.

`python -m deploy.local.procfile_runner api train`

The command kills what has not exited 5 s after the first process; a supervisor gives its own command 8 s.
"""

import sys
from pathlib import Path

import honcho.manager
from honcho.environ import parse_procfile

PROCFILE = Path(__file__).parents[2] / "Procfile"
KILL_SECONDS = 12


def main() -> int:
    honcho.manager.KILL_WAIT = KILL_SECONDS
    commands = parse_procfile(PROCFILE.read_text(encoding="utf-8")).processes
    manager = honcho.manager.Manager()
    for name in sys.argv[1:]:
        manager.add_process(name, commands[name])
    manager.loop()
    return int(manager.returncode or 0)


if __name__ == "__main__":
    sys.exit(main())
