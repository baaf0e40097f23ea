"""Which synthetic images are used: scores, selection, copies, and audits of what was drawn."""
