"""Page 1.5: the eight ways to log in."""

from __future__ import annotations

from imd.domain.client_types import ClientType

TABLE = [
    ("patient", True, "patient"),
    ("patient_system", False, "patient"),
    ("pc_patient", True, "patient"),
    ("pc_patient_system", False, "patient"),
    ("doctor", True, "doctor"),
    ("doctor_system", False, "doctor"),
    ("pc_doctor", True, "doctor"),
    ("pc_doctor_system", False, "doctor"),
]


def test_the_registry_is_the_table() -> None:
    assert [(kind.value, kind.inside, kind.role) for kind in ClientType] == TABLE
