"""Sentences with the lengths of real ones, made of words of one token each."""

import random

# Tokens of a sentence of notes, markers and control tokens included: of the 818 of the
# NegEx test kit, how many have up to so many.
LENGTHS = {12: 24, 16: 113, 20: 162, 24: 122, 28: 98, 32: 53, 40: 101, 50: 57}
LENGTHS |= {65: 33, 100: 55}
SHORTEST = 10
NUM_MARKERS = 6  # tokens of both markers
NUM_CONTROL = 2
WORDS = """the patient denies any fever chills chest pain shortness of breath and no
cough or nausea has had history mild severe possible pneumonia ruled out absent on in
with without for is was were are a an to at left right lung heart""".split()


def parts(rng: random.Random) -> tuple[str, str, str]:
    """Make a sentence: what stands before the entity, the entity, what follows."""
    limits = list(LENGTHS)
    (index,) = rng.choices(range(len(limits)), list(LENGTHS.values()))
    low = limits[index - 1] if index else SHORTEST - 1
    length = rng.randint(low + 1, limits[index]) - NUM_MARKERS - NUM_CONTROL
    words = rng.choices(WORDS, k=length)
    place = rng.randrange(length)
    before, after = words[:place], words[place + 1 :]
    return " ".join(before), words[place], " ".join(after)


def sentences(count: int, seed: int = 20261124) -> list[str]:
    """Make *count* marked sentences, no two alike."""
    rng, made = random.Random(seed), {}
    while len(made) < count:
        before, entity, after = parts(rng)
        made[f"{before} [entity] {entity} [entity] {after}".strip()] = None
    return list(made)


def note(count: int, seed: int) -> dict:
    """Make the request of a note with *count* entities, each in its own sentence."""
    rng, text, entities = random.Random(seed), "", []
    for number in range(count):
        before, entity, after = parts(rng)
        start = len(text) + len(before) + bool(before)
        entities.append({"start": start, "end": start + len(entity)})
        text += " ".join(filter(None, (before, entity, after))) + ".\n\n"
    return {"text": text, "entities": entities}
