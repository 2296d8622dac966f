"""Makes the component: `python3 build.py`. Runs the unit tests: `python3 build.py test`.

What both need is installed into `.venv` beside this file.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAME = "example-bot"
FOLDER = Path(__file__).resolve().parent
VENV = FOLDER / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")


def main():
    os.chdir(FOLDER)
    install()
    if sys.argv[1:] == ["test"]:
        test()
    elif not sys.argv[1:]:
        build()
    else:
        sys.exit("usage: build.py [test]")


def install():
    stamp = VENV / "installed"
    wanted = Path("requirements.txt").read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        run(sys.executable, "-m", "venv", str(VENV))
        run(str(BIN / "python"), "-m", "pip", "install", "--quiet", "-r", "requirements.txt")
        stamp.write_text(wanted)


def build():
    part = f"{NAME}.part"
    componentize_py("componentize", "app", "-o", part)
    # The manifest goes in last, so that a folder that a host watches never sees a plugin without it.
    sidenote = os.environ.get("SIDENOTE", "sidenote")
    run(sidenote, "plugin", "pack", part, "--manifest", "manifest.json", "-o", f"{NAME}.wasm")
    os.remove(part)


def test():
    # The types of the interface, with functions that do nothing until a test says what.
    shutil.rmtree("bindings", ignore_errors=True)
    componentize_py("bindings", "bindings")
    path = os.pathsep.join([".", "bindings"])
    run(str(BIN / "python"), "-m", "unittest", "discover", "tests", env={**os.environ, "PYTHONPATH": path})


def componentize_py(*words):
    run(str(BIN / "componentize-py"), "-d", "wit", "-w", "chatbot-plugin", *words)


def run(*command, env=None):
    done = subprocess.run(command, env=env)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed with {done.returncode}")


if __name__ == "__main__":
    main()
