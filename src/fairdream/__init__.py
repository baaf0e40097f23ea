"""FairDream."""
