"""The eight ways in which a socket may log in (page 1.5).

An *inside* socket shows one session and gets its messages; an *outer* (``_system``) socket sits on
a page outside any chat and gets a notice for each of the user's sessions.
"""

from __future__ import annotations

from enum import StrEnum


class ClientType(StrEnum):
    PATIENT = "patient"
    PATIENT_SYSTEM = "patient_system"
    PC_PATIENT = "pc_patient"
    PC_PATIENT_SYSTEM = "pc_patient_system"
    DOCTOR = "doctor"
    DOCTOR_SYSTEM = "doctor_system"
    PC_DOCTOR = "pc_doctor"
    PC_DOCTOR_SYSTEM = "pc_doctor_system"

    @property
    def inside(self) -> bool:
        """Whether the socket belongs to one session."""
        return not self.value.endswith("_system")

    @property
    def role(self) -> str:
        """The role a token must have to log in as this type: ``doctor`` or ``patient``."""
        return "doctor" if "doctor" in self.value else "patient"
