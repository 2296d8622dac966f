"""Makes the component: `python3 build.py`. Runs the unit tests: `python3 build.py test`.

The tools of `requirements-build.txt` are installed into `.venv` beside this file, and what the plugin imports, by
`requirements.txt`, into `.venv/plugin`, which becomes part of the component.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAME = "example-source"
FOLDER = Path(__file__).resolve().parent
VENV = FOLDER / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
IMPORTED = VENV / "plugin"


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
    if changed("requirements-build.txt"):
        run(sys.executable, "-m", "venv", str(VENV))
        pip("-r", "requirements-build.txt")
        installed("requirements-build.txt")
    if changed("requirements.txt"):
        shutil.rmtree(IMPORTED, ignore_errors=True)
        IMPORTED.mkdir(parents=True)
        if any(line.split("#")[0].strip() for line in Path("requirements.txt").read_text().splitlines()):
            # Whatever machine this is, the plugin's is another one: only what is in Python alone runs on both.
            pure = ["--only-binary=:all:", "--platform", "any", "--abi", "none", "--implementation", "py"]
            pip("--target", str(IMPORTED), *pure, "-r", "requirements.txt")
        installed("requirements.txt")


def changed(requirements):
    stamp = VENV / requirements
    return not stamp.exists() or stamp.read_text() != Path(requirements).read_text()


def installed(requirements):
    (VENV / requirements).write_text(Path(requirements).read_text())


def pip(*words):
    run(str(BIN / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words)


def build():
    part = f"{NAME}.part"
    componentize_py("componentize", "app", "-p", ".", "-p", str(IMPORTED), "-o", part)
    # The manifest goes in last, so that a folder that a host watches never sees a plugin without it.
    sidenote = os.environ.get("SIDENOTE", "sidenote")
    run(sidenote, "plugin", "pack", part, "--manifest", "manifest.json", "-o", f"{NAME}.wasm")
    os.remove(part)


def test():
    # The types of the interface, with functions that do nothing until a test says what.
    shutil.rmtree("bindings", ignore_errors=True)
    componentize_py("bindings", "bindings")
    path = os.pathsep.join([".", "bindings", str(IMPORTED)])
    run(str(BIN / "python"), "-m", "unittest", "discover", "tests", env={**os.environ, "PYTHONPATH": path})


def componentize_py(*words):
    run(str(BIN / "componentize-py"), "-d", "wit", "-w", "source-plugin", *words)


def run(*command, env=None):
    done = subprocess.run(command, env=env)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed with {done.returncode}")


if __name__ == "__main__":
    main()
