"""What measures the whole: the field robot behind the real controller, and the tables made of the figures."""
