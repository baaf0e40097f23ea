"""Tables, figures, pages, cards and records of a run."""
