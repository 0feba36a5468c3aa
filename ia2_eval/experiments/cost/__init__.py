"""What a sweep will cost: tokens, disk and time, before anything is spent."""
