"""What a phone tells of itself, and which devices are none."""

import pytest
from tests.unit.test_devices_adb import CPUINFO, PROPERTIES, SERIAL, STATE

from distilgrid.devices.android.adb import description


def test_a_phone_is_described_without_what_tells_it_from_others() -> None:
    found = description(PROPERTIES, cpuinfo=CPUINFO, meminfo=str(STATE["/proc/meminfo"]))
    assert (found.name, found.cpu, found.cores) == ("Google Pixel 8", "Google Tensor G3", 9)
    assert (found.system, found.memory_gib, found.phone) == ("Android 16 arm64-v8a", 7.5, True)
    assert found.flags == ["asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "svei8mm"]
    assert SERIAL not in found.model_dump_json()


@pytest.mark.parametrize(
    "told",
    [
        {"ro.boot.qemu": "1"},
        {"ro.kernel.qemu": "1"},
        {"ro.hardware": "ranchu"},
        {"ro.build.characteristics": "nosdcard,emulator"},
        {"ro.product.cpu.abi": "x86_64"},
    ],
)
def test_an_emulator_is_no_phone(told: dict[str, str]) -> None:
    assert not description({**PROPERTIES, **told}, cpuinfo=CPUINFO, meminfo="").phone


def test_an_x86_processor_under_translated_programs_is_no_phone() -> None:
    """Such an Android calls itself arm64, and its kernel does not."""
    assert not description(PROPERTIES, cpuinfo="processor\t: 0\nflags\t\t: fpu sse avx2", meminfo="").phone


def test_features_that_a_phone_does_not_tell_are_unknown() -> None:
    assert description(PROPERTIES, cpuinfo="processor\t: 0", meminfo="").flags is None
    assert description(PROPERTIES, cpuinfo="processor\t: 0\nFeatures\t: fp", meminfo="").flags == []
