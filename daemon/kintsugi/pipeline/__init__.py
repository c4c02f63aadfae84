"""The order of the business: signals are evaluated, runs requested and supervised, and the requests of people answered."""
