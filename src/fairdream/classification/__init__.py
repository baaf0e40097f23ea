"""The two-stage classifier, its peers, their metrics, and taking one away."""
