"""Sentences made from cues, names and syntax, where the written ones are few.

``{0}`` is the entity that is asked for, ``{1}``, ``{2}`` are other names.
"""

import random

from data import Row, happened

ABSENT = """
no {0}|No {0}.|no {1}, {0}, or {2}|No {0}, {1} or {2}.|No {1}, {2}, or {0}.
denies {0}|Patient denies any {0}.|He denies {1}, {0} and {2}.|Denies {1}/{0}/{2}.
She denied having {0}.|without {0}|without {1} or {0}|{1} without {0}|{1} but no {0}
negative for {0}|Negative for {1}, {0}, {2}.|neg for {0}|neg {0}|(-) {0}|-{0}
(-){1}, (-){0}
{0}: negative|{0}: no|{0} (-)|{0} neg|{0} - none|{0}: absent|{0}: denies
{1}: yes, {0}: no
{0} was ruled out.|{0} has been ruled out.|{0} is absent.|{0} was not seen.
{0} is denied.
{0} was excluded by ultrasound.|{0} not identified.|{0} was not demonstrated.|{0}: none
No evidence of {0}.|no signs of {0}|there is no sign of {1} or {0}|No definite {0}.
Absent {0}.|Absent {1}, {0} and {2}.|absent {0}, {1}|Free of {0}.|Lack of {0}.|lacks {0}
There was no {0} but there was {1}.|She has {1}, but not {0}.
{1} is present, {0} is not.
{1} and {2} were found, however no {0}.|Never had {0}.|He has never had {0}.|never {0}
no known {0}|no personal history of {0}
{0} has resolved.|{0} resolved.|The {0} is gone.|His {0} went away.|no longer has {0}
{0} cleared completely.|The {0} subsided.|{0} is no longer present.|no further {0}
Unlikely to be {0}.|{0} is unlikely.|{0} unlikely|low suspicion for {0}|I doubt {0}.
Not consistent with {0}.|no concern for {0}|not suggestive of {0}|not felt to be {0}
Neither {0} nor {1} was seen.|Neither {1} nor {0}.|nor {0}|no {1} nor {0}|{1}, nor {0}
X-ray ruled out {0}.|MRI excluded {0}.|CT head negative for {0}.|ruled out for {0}
He hasn't had {0}.|She didn't have {0}.|It isn't {0}.|It was not {0}.|this is not {0}
failed to reveal {0}|fails to show {0}|does not have {0}|did not develop {0}|w/o {0}
Patient with {1} was examined and {0} could not be found.|There has been no {0}.
{1}. No {0}.|No {0} or {1}, has {2}.|has {1}, denies {0}|{1}, without {2}, {0}.
{0} was not given.|was never started on {0}|did not undergo {0}|refused {0}
""".replace("\n", "|").strip("|").split("|")

POSSIBLE = """
possible {0}|Possible {0}.|probable {0}|likely {0}|suspected {0}|presumed {0}|?{0}|? {0}
{0}?|questionable {0}|query {0}|r/o {0}|Rule out {0}.|to rule out {0}|evaluate for {0}
concern for {0}|concerning for {0}|worrisome for {0}|suspicious for {0}|suspicion of {0}
{1} suspicious for {0}|{1} concerning for {0} or {2}|{1}, possibly {0}|{1}, likely {0}
{1} suggestive of {0}|{1} suggests {0}.|{1} consistent with {0}.|compatible with {0}
{0} vs {1}|{1} versus {0}|{0} versus {1} versus {2}|either {0} or {1}
{1} or possibly {0}
Differential includes {0}, {1} and {2}.|Differential diagnosis: {1}, {0}, {2}.
DDx {1}, {0}
may have {0}|might be {0}|could be {0}|This could represent {0}.
may represent {1} or {0}
{0} cannot be excluded.|Cannot exclude {0}.|{0} cannot be ruled out.|can't rule out {0}
{0} is possible.|{0} is suspected.|{0} is likely.|{0} was considered.|{0} not excluded
No {1}, but possible {0}.|No {1}; {0} is suspected.|{1} is unlikely, {0} is possible.
thought to be {0}|thought to represent {0}|felt to be {0}|appears to be {0}
seems to be {0}
The {1} is thought to be due to {0}.|{1} probably due to {0}|{1} likely secondary to {0}
{1}, cannot rule out {0}|{1}, r/o {0}|{1}; raises the question of {0}|question of {0}
In view of {1}, {0} was suspected.|A diagnosis of {0} was considered.
suspected to have {0}
A presumptive diagnosis of {0} was made.|The findings favored {0}.
initially suspected {0}
I wonder about {0}.|I am worried about {0}.|She thinks it is {0}.|perhaps {0}|maybe {0}
CT to evaluate for {0}.|Will check a film to exclude {0}.|{0} has not been ruled out.
not entirely excluded: {0}|{1} without {2}, probably {0}|{0} - likely|{0} (probable)
""".replace("\n", "|").strip("|").split("|")

PRESENT = """
{0}|{0}.|has {0}|Patient has {0}.|with {0}|reports {0}|complains of {0} and {1}|c/o {0}
admits to {0}|positive for {0}|(+) {0}|+{0}|+ {0}
{0}: positive|{0}: yes|{0} (+)|{1}: no, {0}: yes|{0} +|{0} noted|{0} is present.
{0} without {1}|{0}, no {1}|{0} but no {1}|No {1}, has {0}.|No {1} but {0}.
{0}; denies {1}
Denies {1} but has {0}.|Denied {1}; however, {0} was found.|no {1} except {0}
no {1} other than {0}|apart from {0} no {1}|There is no {1}, although {0} persists.
{0}, likely {1}|{0} probably due to {1}|{0} concerning for {1}|{0} suspicious for {1}
{0} with possible {1}|{0}, rule out {1}|admitted with {0} to rule out {1}|{0}, ?{1}
no change in {0}|no increase in {0}|No significant change in the {0}.|unchanged {0}
{0} did not resolve.|{0} has not improved.|no relief of {0}|{0} not controlled with {1}
No improvement in {0}.|{0} without change|not only {0} but also {1}
no further increase in {0}
cause of {0} is not known|{0} of unknown cause|{0} of uncertain etiology|{0} unchanged
no treatment for {0}|did not take anything for {0}|never treated for her {0}
{0} untreated
{0} is improving|{0} improved.|resolving {0}|{0} is controlled|{0} well controlled
The patient presented with {0} and {1}, but without {2}.
{1} was excluded, {0} confirmed.
diagnosed with {0}|{0} was diagnosed.|confirmed {0}|{1} revealed {0}.|biopsy showed {0}
{0}, {1}, and {2}|{1}, {0} and {2} were found.|underwent {0}
{0} secondary to {1}|known {0}|due to {0}|cannot walk because of {0}
unable to work with {0}
No {1} or {2}. {0} since yesterday.|{0}. No {1}.|{0}. Denies {1}.
Negative for {1}. Has {0}.
""".replace("\n", "|").strip("|").split("|")

FAMILY = """
mother had {0}|Father with {0}.|family history of {0}|Family history of {0} and {1}.
FH: {0}|FHx: {1}, {0}|Her sister has {0}.|brother died of {0}|maternal aunt: {0}
Family history is positive for {0}.|strong family history of {0}|son with {0}, {1}
paternal grandfather had {0} and {1}|His parents both have {0}.
Mother: {0}. Father: {1}.
Father: {1}. Mother: {0}.|FAMILY HISTORY: {0}.|Family History: {1}, {2}, {0}
mom w/ {0}
{0} runs in the family.|{0} in her mother|{0} (father)|{0} - sister|Dad: {0}
Two siblings have {0}.|Sister is being treated for {0}.|Wife has {0}.|cousin with {0}
""".replace("\n", "|").strip("|").split("|")

NOT_FAMILY = """
no family history of {0}|No family history of {1} or {0}.|Denies family history of {0}.
FH negative for {0}|Neither parent had {0}.|no {0} in the family|Mother never had {0}.
Family history: no {0}, {1}.|Negative family history of {0}
None of his siblings has {0}.
""".replace("\n", "|").strip("|").split("|")

HYPOTHETICAL = """
return if {0}|Return if {0} or {1}.|call if {0}, {1} or {2} occur|Call for {0}.
Return to the ED for {0}, {1}.|Come back should {0} develop.|seek care for any {0}
Return for worsening pain, {1}, {0}.|should he develop {0}, call|If {0} occurs, stop it.
if she develops {0}|in case of {0}|in the event of {0}|monitor for {0}
watch for {0} and {1}|Monitor for signs of {0}.|Will observe for {0}.|at risk for {0}
risk of {0}|Risks: {1}, {0}.
risks include {1}, {0} and {2}|The risks of {0} were explained.|to prevent {0}
prophylaxis for {0}|{0} prophylaxis|to avoid {0}|for prevention of {0}|screen for {0}
screening for {0}|{0} screening|precautions for {0} given|as needed for {0}|prn {0}
may take it if {0}|Instructed to call with {0}.|warning signs such as {0}, {1}
he should return with any {0}|to reduce the risk of {0}|risk factors for {0}
""".replace("\n", "|").strip("|").split("|")

PAST = """
history of {0}|h/o {0}|hx of {1}, {0}|past history of {0}|previous {0}|prior {0}
s/p {0}|status post {0}|past medical history of {0}|PMH: {0}|PMH {1}, {0}, {2}
PMHx: {0}.|had {0} in 2009|{0} in 1998|{0} ten years ago|{0} as a child|remote {0}
PAST MEDICAL HISTORY: {0}, {1}.|Past Medical History: {1}, {0}|{0} two years ago
Past medical history is significant for {1} and {0}.|a history of {0} and {1}
history of {1}, {0} and {2}|previously had {0}|treated for {0} in the past
""".replace("\n", "|").strip("|").split("|")

NEVER = """
no history of {0}|no hx of {0}|no h/o {1} or {0}|No prior {0}.|never had {0}
denies a history of {0}|no previous {0}|no past history of {0}
""".replace("\n", "|").strip("|").split("|")

# label, experiencer, temporality of each list; None is what data.py cannot tell.
_KINDS = (
    (ABSENT, "ABSENT", "PATIENT", None),
    (POSSIBLE, "POSSIBLE", "PATIENT", "CURRENT"),
    (PRESENT, "PRESENT", "PATIENT", None),
    (FAMILY, "PRESENT", "FAMILY", None),
    (NOT_FAMILY, "ABSENT", "FAMILY", None),
    (HYPOTHETICAL, None, "PATIENT", "HYPOTHETICAL"),
    (PAST, "PRESENT", "PATIENT", "HISTORICAL"),
    (NEVER, "ABSENT", "PATIENT", "HISTORICAL"),
)
PATTERNS = [(pattern, *kind) for patterns, *kind in _KINDS for pattern in patterns]


def make_rows(names: list[str], number: int, rng: random.Random) -> list[Row]:
    """Make *number* rows, each pattern about equally often."""
    return [make_row(*rng.choice(PATTERNS), names, rng) for _ in range(number)]


def make_row(
    pattern: str,
    label: str | None,
    experiencer: str,
    temporality: str | None,
    names: list[str],
    rng: random.Random,
) -> Row:
    """Fill *pattern*.

    >>> names, rng = ["gout"] * 3, random.Random(1)
    >>> make_row("no {0}", "ABSENT", "PATIENT", None, names, rng).text
    'no gout'
    """
    entity, *others = rng.sample(names, 3)
    start = pattern.replace("{1}", others[0]).replace("{2}", others[1]).index("{0}")
    text = pattern.format(entity, *others)
    when = frozenset({temporality}) if temporality else happened(pattern)
    return Row(
        *(text, start, start + len(entity), label, "templates", "templates"),
        experiencer=frozenset({experiencer}),
        temporality=when,
    )
