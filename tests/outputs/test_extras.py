"""Errors of optional libraries: each keeps its own meaning."""

from __future__ import annotations

import ctypes.util
import errno
import os
import subprocess
import sys

import pytest
from cffi import FFI

from report_gen.errors import UsageError
from report_gen.outputs.extras import clinical_extra


@pytest.mark.parametrize("name", ["libpango-of-this-test", "libpango-1.0-of-this-test"])
def test_a_shared_library_that_is_missing_is_pango(name: str) -> None:
    expected = pytest.raises(UsageError, match="the format pdf needs the system library Pango, which cannot be loaded")
    with expected, clinical_extra("the format pdf"):
        FFI().dlopen(name)  # as WeasyPrint does


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE, errno.EIO])
def test_another_error_of_the_system_is_not_about_pango(number: int) -> None:
    with pytest.raises(UsageError) as refusal, clinical_extra("the format dicom-sr"):
        raise OSError(number, os.strerror(number), "/lib/highdicom/__init__.py")
    message = str(refusal.value)
    assert message.startswith("the format dicom-sr: a library cannot be read (")
    assert os.strerror(number) in message
    assert "/lib/highdicom/__init__.py" in message
    assert "Pango" not in message


def test_a_module_that_is_missing_is_named() -> None:
    with (
        pytest.raises(UsageError, match=r'needs the library nowhere_to_be_found.*pip install "report-gen\[clinical\]"'),
        clinical_extra("the format pdf"),
    ):
        import nowhere_to_be_found  # type: ignore[import-not-found]  # noqa: F401


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have other names of libraries")
@pytest.mark.usefixtures("pango")
def test_weasyprint_starts_no_process_to_find_its_libraries() -> None:
    program = (
        "import sys\n"
        "started = []\n"
        "sys.addaudithook(lambda event, values: started.append(values[0]) if event == 'subprocess.Popen' else 0)\n"
        "from report_gen.outputs.extras import load_libraries\n"
        "load_libraries('the format pdf', ['weasyprint'])\n"
        "print(started, 'weasyprint.text.ffi' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[] True\n"


def test_other_libraries_are_found_as_before() -> None:
    before, expected = ctypes.util.find_library, ctypes.util.find_library("c")
    with clinical_extra("the format pdf"), clinical_extra("the format html"):
        assert ctypes.util.find_library("c") == expected
    assert ctypes.util.find_library is before
