"""An Android phone through `adb`, the command of Android's platform tools.

Follows the documentation of adb. `adb shell` hands one string to the phone's shell and returns its exit code (Android 7
and newer). `adb devices` lists serial and state, `logcat -t TIME` prints later lines. Not tried on a real phone.
"""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from distilgrid.core.errors import UserError, did_you_mean
from distilgrid.core.machine import interesting_flags
from distilgrid.devices.android.programs import last_words
from distilgrid.devices.imported import Description, is_x86

SECONDS = 900
EMULATED = ("goldfish", "ranchu", "cutf_cvm", "vbox86")
"""`ro.hardware` of Android's emulators, old and new, of Cuttlefish and of Genymotion."""
PROPERTY = re.compile(r"^\[(.+?)\]: \[(.*)\]$", re.MULTILINE)
ADVICE = {
    "unauthorized": "unlock it and allow this computer to debug it",
    "offline": "plug it in again",
    "no permissions": "this account may not use the USB device; see `adb devices`",
}


@dataclass(frozen=True)
class Phone:
    """A connected phone; methods raise UserError when a command fails."""

    serial: str

    def shell(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a program on the phone with these arguments; also returns when it fails."""
        return call(["adb", "-s", self.serial, "shell", shlex.join(words)])

    def push(self, source: Path, target: str) -> None:
        """Copy a file to the phone."""
        done = call(["adb", "-s", self.serial, "push", str(source), target])
        if done.returncode:
            raise UserError(f"adb push {source}: {last_words(done.stdout)}")

    def checked(self, words: Sequence[str]) -> str:
        """Run a program on the phone; return its output."""
        done = self.shell(words)
        if done.returncode:
            raise UserError(f"on the phone: {shlex.join(words)}: {last_words(done.stdout)}")
        return done.stdout

    def describe(self) -> Description:
        """Describe the phone, without a name of this single one."""
        properties = dict(PROPERTY.findall(self.checked(["getprop"])))
        return description(
            properties,
            cpuinfo=self.checked(["cat", "/proc/cpuinfo"]),
            meminfo=self.checked(["cat", "/proc/meminfo"]),
        )


def call(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a command on this machine; UserError if the program is missing or does not end."""
    if shutil.which(command[0]) is None:
        raise UserError(f"{command[0]}: not found; install Android's platform tools and put them on the PATH")
    try:
        return subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"{shlex.join(command)[:200]}: still running after {SECONDS} s; stopped waiting") from None


def find_phone(serial: str | None) -> Phone:
    """The phone with a serial number, or that of ANDROID_SERIAL, or the only connected one; UserError without one."""
    done = call(["adb", "devices"])
    if done.returncode:
        raise UserError(f"adb devices: {last_words(done.stdout)}")
    states = connected(done.stdout)
    wanted = serial or os.environ.get("ANDROID_SERIAL")
    if wanted is None:
        if len(states) > 1:
            raise UserError(f"{len(states)} adb devices ({', '.join(states)}): set serial, or ANDROID_SERIAL, to one")
        if not states:
            raise UserError("no adb device: is the phone plugged in, USB debugging on, and this computer authorised?")
        wanted = next(iter(states))
    if wanted not in states:
        hint = (
            did_you_mean(wanted, states) if states else "none is connected: plugged in, USB debugging on, authorised?"
        )
        raise UserError(f"no adb device '{wanted}'; {hint}")
    if states[wanted] != "device":
        advice = ADVICE.get(states[wanted], "see `adb devices`")
        raise UserError(f"adb device {wanted} is {states[wanted]}: {advice}")
    return Phone(wanted)


def connected(listed: str) -> dict[str, str]:
    """State by serial number, from the output of `adb devices`; messages of the daemon precede its first line."""
    _, _, rows = listed.partition("List of devices attached")
    found = {}
    for row in rows.splitlines():
        serial, _, state = row.strip().partition("\t")
        if state:
            found[serial] = "no permissions" if state.startswith("no permissions") else state.strip()
    return found


def description(properties: dict[str, str], *, cpuinfo: str, meminfo: str) -> Description:
    """A phone in the import format, from its properties, /proc/cpuinfo and /proc/meminfo."""
    maker, model = (properties.get(f"ro.product.{name}", "") for name in ("manufacturer", "model"))
    chip = [properties.get(f"ro.soc.{name}", "") for name in ("manufacturer", "model")]
    flags = interesting_flags(cpuinfo)
    memory = re.search(r"^MemTotal:\s*(\d+) kB", meminfo, re.MULTILINE)
    full = model if maker.lower() in model.lower() else f"{maker} {model}"
    cpu = " ".join(part for part in chip if part) or properties.get("ro.hardware") or "unknown"
    system = f"Android {properties.get('ro.build.version.release', '?')} {properties.get('ro.product.cpu.abi', '')}"
    return Description(
        name=re.sub(r"[^A-Za-z0-9 ()+.,_-]", "", full).strip()[:60] or "Android device",
        cpu=cpu,
        cores=max(1, len(re.findall(r"^processor\s*:", cpuinfo, re.MULTILINE))),
        flags=None if flags is None else list(flags),
        memory_gib=round(int(memory[1]) / 2**20, 1) if memory else 0,
        system=system,
        phone=not _emulated(properties) and not is_x86(f"{cpu} {system}", flags or ()),
    )


def _emulated(properties: dict[str, str]) -> bool:
    """Whether a computer emulates the phone. Each property alone tells it, as newer versions set fewer."""
    qemu = any(properties.get(f"ro.{name}") == "1" for name in ("boot.qemu", "kernel.qemu"))
    made_for = properties.get("ro.build.characteristics", "").split(",")
    return qemu or "emulator" in made_for or properties.get("ro.hardware", "") in EMULATED
