"""What is the matter with a CMP server: a careful client that says what it found, layer by layer.

:func:`diagnose` asks only harmless questions (genm), unless it is told to enrol. What it finds are
:class:`~cmpkit.parts.Check` values; a road examines itself if it can (:class:`~cmpkit.parts.RoadExaminer`).
"""

from cmpkit.doctor.diagnosis import Diagnosis, diagnose
from cmpkit.doctor.enrolment import Enrolment
from cmpkit.doctor.settings import Settings

__all__ = ["Diagnosis", "Enrolment", "Settings", "diagnose"]
