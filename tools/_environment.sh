# shellcheck shell=bash
# Virtual environment shared by quickstart.sh and run_tests.sh; to be sourced.
#
# prepare_environment REQUIREMENTS... creates or reuses .venv in the checkout, installs the given
# requirements files and this package, and sets $python. Interrupted steps are repeated.
#
# LPV_PYTHON selects the interpreter for a new environment.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
stamp=$venv/.lpv-installed
made_here=.lpv-made-here

say() { printf '%s\n' "$*"; }
fail() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Succeed if the interpreter is Python 3.10 or newer.
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; }
version_of() { "$1" -c 'import platform; print(platform.python_version())' 2>/dev/null; }

# Print the interpreter for a new environment.
find_python() {
    local candidate
    if [[ -n ${LPV_PYTHON:-} ]]; then
        version_of "$LPV_PYTHON" >/dev/null || fail "LPV_PYTHON=$LPV_PYTHON is not a Python interpreter"
        new_enough "$LPV_PYTHON" ||
            fail "LPV_PYTHON=$LPV_PYTHON is Python $(version_of "$LPV_PYTHON"); 3.10 or newer is needed"
        printf '%s\n' "$LPV_PYTHON"
        return
    fi
    # Python 3.11 first: the lock file is tested most with it.
    for candidate in python3.11 python3 python3.12 python3.13 python3.14 python3.10 python; do
        if new_enough "$candidate"; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    fail "Python 3.10 or newer is needed; found $(version_of python3 || say none). Install one, or" \
        "specify one: LPV_PYTHON=/path/to/python3.11 bash $0"
}

make_venv() {
    if [[ -x $python ]] && "$python" -m pip --version >/dev/null 2>&1; then
        new_enough "$python" ||
            fail "$venv has Python $(version_of "$python"), 3.10 or newer is needed; delete it"
        return
    fi
    # Repeat an interrupted step of this script, but leave environments made by others alone.
    if [[ -n $(ls -A "$venv" 2>/dev/null) && ! -e $venv/$made_here ]]; then
        fail "$venv exists, has no pip, and was not made by this script: delete it, or install" \
            "pip: $python -m ensurepip"
    fi
    local base
    base=$(find_python)
    say "Making a virtual environment in $venv with Python $(version_of "$base")"
    mkdir -p "$venv"
    touch "$venv/$made_here"
    find "$venv" -mindepth 1 ! -name "$made_here" -delete
    "$base" -m venv "$venv" ||
        fail "python -m venv failed; Debian and Ubuntu need: apt install python3-venv"
}

# Show one dot per package instead of pip's output; on failure, the end of the log.
pip_install() {
    local log=$venv/pip.log
    if ! "$python" -m pip install --disable-pip-version-check "$@" 2>&1 | tee "$log" |
        awk '/^ *(Collecting|Downloading|Using cached|Building|Installing)/ {printf "."; fflush()} END {print ""}'; then
        tail -n 25 "$log" >&2
        fail "pip install $* failed; the complete log is in $log"
    fi
}

# opencv-python needs libGL, which servers and containers often lack; its headless build does not.
fix_opencv() {
    "$python" -c 'import cv2' 2>/dev/null && return
    local version
    version=$("$python" -c 'import importlib.metadata as m; print(m.version("opencv-python"))')
    say "OpenCV cannot be loaded here (no libGL?): installing its headless build"
    "$python" -m pip uninstall --quiet --yes opencv-python
    # Both builds share a folder: files of the headless one have been removed as well.
    pip_install --no-deps --force-reinstall "opencv-python-headless==$version"
    "$python" -c 'import cv2' || fail "OpenCV cannot be loaded (see above)"
}

prepare_environment() {
    local file base fingerprint other
    local options=()
    python=$venv/bin/python
    make_venv
    for file in "$@"; do options+=(-r "$file"); done
    # Install again if the requirements, the build or the location of the checkout has changed.
    base=$(printf '%s\n' "$root" "$1" | cat - "$1" "$root/setup.py" "$root/pyproject.toml" | cksum)
    fingerprint=$base$'\n'$(printf '%s\n' "$@" | cat - "$@" | cksum)
    if [[ -f $stamp.$# && $(<"$stamp.$#") == "$fingerprint" ]]; then
        say "Environment: $venv (unchanged)"
        return
    fi
    say "Installing the requirements into $venv (takes a few minutes the first time)"
    # Invalidate other sets of requirements that were installed from a different base.
    for other in "$stamp".*; do
        if [[ -f $other && $(head -n 1 "$other") != "$base" ]]; then rm -f "$other"; fi
    done
    pip_install "${options[@]}"
    pip_install --no-deps --editable "$root"
    fix_opencv
    printf '%s\n' "$fingerprint" >"$stamp.$#"
}
