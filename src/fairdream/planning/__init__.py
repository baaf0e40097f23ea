"""What will run, what each job reads of the configuration, and what it costs."""
