"""Checks of single records: checksums, fields, values and ranges."""

from __future__ import annotations

import numpy as np

from features.views import CLIP_SAMPLES
from registry.verify.evidence import Evidence
from registry.verify.findings import Findings


def check_checksums(evidence: Evidence, findings: Findings) -> None:
    """Whether each record's length and data match their checksums."""
    findings.look(evidence.reading.seen)
    findings.problems += evidence.reading.damaged


def check_records(evidence: Evidence, findings: Findings) -> None:
    """Whether each record that is whole has the fields of the store."""
    findings.look(evidence.reading.seen - len(evidence.reading.damaged))
    findings.problems += evidence.reading.undecodable


def check_values(evidence: Evidence, findings: Findings) -> None:
    """Whether all values are finite, and those after a waveform's real length are zero."""
    findings.look(len(evidence.records))
    findings.problems += evidence.reading.wrong_values


def check_ranges(evidence: Evidence, findings: Findings) -> None:
    """Whether each record has a length of its view and a label of its store."""
    store = evidence.store
    highest = {"length": CLIP_SAMPLES if store.view is None else store.view.max_length}
    if store.view is not None:
        highest["label"] = len(store.classes) - 1
    for clips in evidence.only_records():
        findings.look(len(clips.records))
        for name, most in highest.items():
            values = clips.records.column(name).to_numpy()
            for index in np.flatnonzero((values < 0) | (values > most)).tolist():
                findings.blame(clips.record_place(index), f"{name} {values[index]}, expected 0 to {most}")
