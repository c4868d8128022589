"""Reports that open from a file: one template and one set of charts for everything that is shown to people."""
