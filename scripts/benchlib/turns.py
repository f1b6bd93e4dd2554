"""Rounds by turns: all servers run, and each goes first as often as the others."""

from contextlib import ExitStack


def order(names, number):
    """Who comes when in a round."""
    first = (number - 1) % len(names)
    return names[first:] + names[:first]


def in_turns(subjects, rounds, start, one_round, warm_up=None):
    """Starts each subject by `start(subject)`, and calls `one_round(number, name, stack)` for each, round by round."""
    with ExitStack() as running:
        stacks = {name: running.enter_context(start(subject)) for name, subject in subjects.items()}
        for stack in stacks.values():
            if warm_up:
                warm_up(stack)
        for number in range(1, rounds + 1):
            for name in order(list(stacks), number):
                one_round(number, name, stacks[name])


def fresh_in_turns(subjects, rounds, start, one_round):
    """The same with a server that is started for each round, and is alone."""
    for number in range(1, rounds + 1):
        for name in order(list(subjects), number):
            with start(subjects[name]) as stack:
                one_round(number, name, stack)
