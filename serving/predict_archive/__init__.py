"""`python -m serving.predict_archive`: all clips of an archive through an export, as a Beam pipeline."""
