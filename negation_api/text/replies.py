"""What people say to a question instead of yes and no: "Has he a rash? Mum says no".

A reply stands right behind a question, or in the line below it, and ends its statement.
Of the question the auxiliary and the patient are read for nothing, so that what is left
and its answer are as in a row of a form.
"""

import re
from typing import NamedTuple

from negation_api.text.answers import ANSWERS, any_of, as_read

_PRONOUNS = "you he she it they we i there".split()
_PATIENTS = "patient pt child baby infant boy girl man woman resident client".split()
_RELATIVES = (
    "mum mom mother dad father parent parents wife husband spouse partner daughter son"
    " sister brother family guardian carer caregiver nurse".split()
)
_SUBJECT = rf"(?:{any_of(_PRONOUNS)}|(?:(?:the|this)[ ])?{any_of(_PATIENTS)})(?!\w)"
_TELLER = rf"(?:(?:the|his|her|their|my|your)[ ])?{any_of(_RELATIVES)}(?!\w)"
_WHO = f"(?:{_SUBJECT}|{_TELLER})"
_SAYS = (
    r"(?:says?|said|states?|stated|reports?|reported|answers?|answered|repl(?:y|ie[sd])"
    r"|responds?|responded|indicates?|indicated|tells[ ]me|told[ ]me)(?:[ ]that|[,:])?"
)
_DO = "(?:is|are|was|were|has|have|had|do|does|did)"
_IS = "(?:is|am|are|was|were|'s|'m|'re)"
_SURE = "(?:absolutely|definitely|certainly|of[ ]course)"
_IT = "(?:[ ](?:to[ ])?(?:it|this|that|these|same|so|any|all))"
_POLITE = r"(?:,?[ ](?:sir|ma'?am|doctor|doc|thanks?(?:[ ]you)?))"
_THAT = "(?:that|those|these|the[ ]above)"

# What a reply is read as, and how it is said, who says it left out.
_REPLIES = {
    "no": rf"""
        (?:no|nope|nah),?[ ](?:not[ ]at[ ]all|never|none|not[ ]really|{_SURE}[ ]not)
      | (?:no|nope|nah|never|none){_POLITE}? | no[ ]way | {_SURE}[ ]not
      | not[ ](?:at[ ]all|really|once|ever|lately|recently|currently|now|today|yet
          |so[ ]far|any[ ]?more|any[ ]longer|at[ ](?:present|this[ ]time|the[ ]moment)
          |to[ ](?:my|his|her|their|our)[ ](?:knowledge|recollection)
          |that[ ]{_WHO}[ ]?(?:(?:can[ ])?(?:knows?(?:[ ]of)?|recalls?|remembers?)
            |{_IS}[ ]aware(?:[ ]of)?))
      | none[ ](?:at[ ]all|whatsoever|of[ ]{_THAT}) | nothing[ ](?:like|of)[ ]{_THAT}
      | (?:denie[sd]|is[ ]denying){_IT}? (?! [ \t]*+ , )
      | (?(teller)(?!)) (?: never[ ](?:has|have|had|did|does|do)
        | (?:has|have|had)[ ]never
        | {_DO}(?:[ ]not|n'?t)(?:[ ](?:had|have|been))?{_IT}? )""",
    "yes": rf"""
        (?:yes|yep|yeah),?[ ]{_SURE} | (?:yes|yep|yeah|sure){_POLITE}? | {_SURE}
      | affirmative | correct | indeed | all[ ]the[ ]time | very[ ]much(?:[ ]so)?
      | that(?:'s|[ ]is)[ ]right | (?(who)(?P<verb>{_DO}|am)|(?!))
      | (?:admit(?:s|ted)|endorse[sd]|confirm(?:s|ed)|acknowledge[sd]){_IT}?""",
    "possible": r"""
        maybe(?:[ ]so)? | perhaps | possibly | (?:could|may|might)[ ]be
      | (?:thinks?|believes?|suspects?|guess(?:es)?)[ ]so""",
    "unknown": rf"""
        (?:(?:do|does|did|could)(?:[ ]not|n'?t)|can(?:not|'?t|[ ]not))
          [ ](?:know|recall|remember|say|tell)(?:[ ]for[ ](?:sure|certain))?
      | (?:{_IS}[ ])?(?:not[ ](?:(?:quite|really|too|so)[ ])?(?:sure|certain)
          |unsure|uncertain|unclear)
      | (?:{_IS}[ ])?hard[ ]to[ ](?:say|tell) | no[ ]idea""",
}
# What any reply begins with: little is tried where none stands.
_FIRST_WORDS = any_of(
    """no nope nah never none not nothing absolutely definitely certainly of yes yep
    yeah sure affirmative correct indeed all very that maybe perhaps possibly could may
    might unsure uncertain unclear hard am can do does did is are was were has have had
    denie admit endorse confirm acknowledge think believe suspect guess the this your
    his her their my""".split() + [*_PRONOUNS, *_PATIENTS, *_RELATIVES]
)
# To be read verbosely, ignoring case: a group for each of what replies are read as.
REPLY = rf"""(?: (?={_FIRST_WORDS}) (?: {_WHO}[ ]{_SAYS}[ ]["']? )?+
    (?: (?P<who>{_SUBJECT}) (?:[ ]|(?=')) | (?P<teller>{_TELLER}) (?:[ ]|(?=')) )?+
    (?: {"|".join(f"(?P<{name}>{forms})" for name, forms in _REPLIES.items())} )
    (?= ["']? (?: [ \t]*+ (?: [.,;!)\u2013\u2014] | \n [ \t]*+ (?-i:(?![a-z])) | \Z )
        | [ ]-[ ] ) ) )"""

MAX_QUESTION_CHARS = 200  # before its sign
# Behind these a question asks for more than whether the patient has something.
_ASKS_MORE = (
    r"stop\w*|quit\w*|g[ai]ve\w*|finish\w*|recover\w*|outgr\w+|resolv\w*|improv\w*"
    r"|miss\w*|avoid\w*|den(?:y|ie[sd])|tr(?:y|ied)|need\w*|want\w*|wish\w*|like"
    r"|plan\w*|agree\w*|consent\w*|th(?:ink|ought)|believe\w*|worr\w+|concern\w*"
    r"|kn[eo]w\w*|underst\w+|refus\w*|declin\w*|forg[eo]t\w*|skip\w*|run|ran|free"
    r"|clear|off|without|no|not|never|unable|possible|likely|known|expect\w*|manag\w*"
    r"|cop(?:e|ing)|monitor\w*|control\w*|treat\w*|over|rid|g[eo]t(?:ting)?[ ](?:over"
    r"|rid)|happy|satisf\w*|comfortable|sle(?:ep|pt)\w*|tell|told|talk\w*|better"
)
# A letter that an auxiliary begins with, or another question, where one may begin.
_BEGINS = re.compile(
    r"[acdhimswACDHIMSW] (?: (?<=^.) | (?<=[?.!:;,)*\t-].) | (?<=[?.!:;,)*-][ ].)"
    r" | (?<=[ \t]{2}.) | (?<=[ ][A-Z]) )",
    re.VERBOSE | re.MULTILINE,
)
_LEAD = re.compile(
    rf"""(?: (?: did | had | was | were
          | ha(?:s|ve) (?= [ ]{_SUBJECT}[ ](?:had|ever|been[ ](?!told))\b ) )
        [ ] (?P<subject> {_SUBJECT}[ ]++ )
      | (?P<lead> (?: (?:can|could)[ ]you[ ](?:please[ ])?(?:tell|say)(?:[ ]me)?
            [ ](?:if|whether)[ ]{_SUBJECT}
          | {_DO}[ ]{_SUBJECT}
            (?: [ ]been[ ]told(?:[ ]that)?[ ]{_SUBJECT}[ ]ha(?:s|ve|d) )? ) [ ]++ ) )
    (?= [^\W\d_] ) (?! (?:{_ASKS_MORE})\b )""",
    re.VERBOSE | re.IGNORECASE,
)
_ASKS_ELSE = re.compile(
    rf"(?:{_DO}|am|can|could|should|would|will|may|might|shall|wh\w+|how|since)\b",
    re.IGNORECASE,
)
_ENDS = "?", "!", ". ", ".\n", "\n\n"


class Question(NamedTuple):
    """A question.

    :ivar lead: the span of who is asked, with the auxiliary unless that tells when.
    :ivar asks_whether: whether it may ask if the patient has something.
    """

    lead: tuple[int, int] | None
    asks_whether: bool

    def takes(self, reply: re.Match) -> bool:
        """Tell whether *reply*, a match of REPLY, says if the patient has it.

        "He has" does so where it takes up what was asked.
        """
        return self.asks_whether and bool(self.lead or not reply["verb"])


_ASKS_WHETHER, _ASKS_OTHER = Question(None, True), Question(None, False)


def read_question(text: str, at: int) -> Question:
    """Give the question whose sign is at *at*.

    >>> read_question("Do you smoke? No", 12), read_question("Has he had gout? No", 15)
    (Question(lead=(0, 7), asks_whether=True), Question(lead=(4, 7), asks_whether=True))
    >>> read_question("Is the cough better? No", 19)
    Question(lead=None, asks_whether=False)
    """
    first = max(0, at - MAX_QUESTION_CHARS)
    for end in _ENDS:
        first = max(first, text.rfind(end, first, at))
    question, begins = _ASKS_WHETHER, _BEGINS.search(text, first, at)
    while begins:
        if lead := _LEAD.match(text, begins.start(), at):
            question = Question(lead.span(lead.lastgroup), True)
        elif _ASKS_ELSE.match(text, begins.start(), at):
            question = _ASKS_OTHER
        begins = _BEGINS.search(text, begins.end(), at)
    return question


def is_reply(found: re.Match) -> bool:
    """Tell whether the answer of *found*, a match of ANSWER or REPLY, is in words."""
    return found["answer"].lower() not in ANSWERS


def as_replied(found: re.Match) -> str:
    """Give what is read for the answer of *found*, a match of ANSWER or REPLY."""
    if is_reply(found):
        return next(name for name in _REPLIES if found[name])
    return as_read(found["answer"])
