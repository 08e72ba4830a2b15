"""Charts that run: the planner, the runner of nurseries, the checks and the drawings.

Rules: `chart` is the only module that knows the transitions library, and `runner` the only one that opens a nursery
for a state. `lint` and `diagrams` read the literals of `statecharts/` and nothing else, so what is checked and shown
is what runs.
"""
