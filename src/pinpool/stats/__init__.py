"""Figures, computed from the attempts of a run."""
