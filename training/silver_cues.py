"""What ``silver.py`` leaves out: cues of what the rule systems cannot judge.

Written after reading samples of their common mistakes, 60 and more a label.
All patterns are verbose and ignore case.
"""

import re

# Who else has it, what may happen, what is only asked or advised.
OUT_OF_REACH = re.compile(
    r"""
    \?\s*$ | \b( family | mother | mom | mum | father | dad | parents? | sisters?
    | brothers? | siblings? | (grand|step)\w+ | aunts? | uncles? | cousins? | sons?
    | daughters? | wife | husband | spouse | relatives? | maternal | paternal | fh
    | fhx | nieces? | nephews? | roommates? | girlfriend | boyfriend | friends?
    | if | unless | should\ (you|he|she|they|it|this) | in\ case | whether | risks?
    | precautions | safety\ net\w* | watch(ing)?\ (out\ )?for | look\ out
    | prevent\w* | prophyla\w+ | avoid\w* | screen\w* | monitor(ing)?\ (for|of)
    | as\ needed | p\.?r\.?n\.? | allerg(y|ies|ic)\ to | advi[sc]e[ds]?
    | instructed | educat\w+ | counsel\w* | discuss\w* | expect\w* | recommend\w*
    | explained | warned | symptoms?\ (such\ as|like|including)
    | signs?\ of\ (an?\ )?(infection|worsening)
    | will\ (call|return|need|have|get|go|start|be) | goal | would\ like | wants?
    | ask(ed)? | worr(y|ied) | fears? | afraid | studies | literature
    | most\ patients | causal\w* | questions? | informed | history\ form
    | wonder\w* | before\ he )\b""",
    re.IGNORECASE | re.VERBOSE,
)

# A mention that is only a part of a name: "pain medication", "flu vaccine".
NAME_AFTER = re.compile(
    r"""
    [\s-]+( medic\w+ | meds? | vaccin\w+ | shots? | jabs? | screen\w* | tests?
    | testing | scale | scores? | control | manage\w+ | clinic | specialist | risk
    | prevent\w* | prophyla\w+ | precautions? | protocol | cent(er|re) | relievers?
    | pills? | killers? | relief | educat\w* | counsel\w* | threshold | unit
    | panel | levels? | markers? | diary | log | tracker | program | questionnaire
    | inventory | free | related | cessation | reactions? | syndromes? | diseases?
    | disorders? | nodosum | colitis | diagnosis | treatments? | therapy | drugs?
    | tablets? | symptoms? | stockings? | department )\b""",
    re.IGNORECASE | re.VERBOSE,
)

# Modifiers that may widen a mention to the left, as annotators' spans do.
MODIFIER = re.compile(
    r"""
    \b( acute | chronic | severe | mild | moderate | significant | recurrent
    | persistent | intermittent | diffuse | focal | generalized | localized
    | bilateral | unilateral | left | right | upper | lower | anterior | posterior
    | lateral | medial | distal | proximal | (left|right)[\s-]sided | abdominal
    | pelvic | cervical | thoracic | lumbar | pulmonary | cardiac | renal | hepatic
    | quadrant | extremity | arm | leg | hand | foot | knee | shoulder | hip
    | ankle | wrist | elbow | neck | back | chest | facial | throbbing | sharp
    | dull | burning | stabbing | substernal | pleuritic | extreme | intense
    | slight | small | large | uncontrolled | worsening | new | old | metastatic
    | malignant | occasional | constant | sudden | superficial | deep )[\s-]+\Z""",
    re.IGNORECASE | re.VERBOSE,
)

# A hedge cue, and what between cue and mention shows that it hedges another thing.
HEDGE = re.compile(
    r"""
    \b( possibl[ey](?!\ to\b) | possibility\ (of|for) | probabl[ey]
    | likely(?!\ to\b) | perhaps | maybe | suspect(s|ed|ing)?
    | suspicio(n|us)\ (of|for) | concern(s|ing|ed)?\ (for|of)
    | suggest(s|ed|ing|ive)?(\ of)? | potential(ly)? | questionable | question\ of
    | presum(ed|ptive|ably) | equivocal | versus | vs\.? | r/o | rule\ out
    | apparent
    | (may|might|could)\ (also\ )?(just\ )?(have|be|represent|reflect|indicate)
    | (appear|seem)(s|ed)?\ to\ (be|have) | (thought|felt|believed)\ to\ (be|have)
    | (consistent|compatible)\ with | (evaluat(e|ion)|eval|assess)\ for
    | indicative\ of | (exclude|ruled?\ out) | think\w* | thought
    | believe[sd]? )(?!\w) | (?<!\w)\?""",
    re.IGNORECASE | re.VERBOSE,
)
HEDGE_ENDS = re.compile(
    r"""
    [;:.] | ,(?!\ (and/)?or\b) | \b( (?<!consistent\ )(?<!compatible\ )with | who
    | which | because | causing | has | is | are | was | were | but | when | where
    | after | before | while | including | his | her | the | their | my | this
    | these | etiolog\w+ | causes? | sources? | reasons? | follow | contribut\w+
    | \w*culprit | further | factors? | used | although | however | treat\w*
    | help\w* )\b""",
    re.IGNORECASE | re.VERBOSE,
)
HEDGED_AFTER = re.compile(
    r"""
    [\s,(]*((is|was|are|were|remains?|seems?)\ )?(also\ )?( possible | probable
    | likely | suspected | questionable | considered | vs\.? | versus
    | (can|could)(\ ?not|n't)\ be\ (excluded|ruled) | not\ (excluded|ruled) | \?
    | (is|may|might|could)\ be\ (possible|considered|present|the\ case) )(?!\w)""",
    re.IGNORECASE | re.VERBOSE,
)

# Over, or judged improbable: ABSENT by the guidelines, PRESENT to the rules.
OVER = re.compile(
    r"""
    \b( resolv\w* | went\ away | gone | go(es|ing)?\ away | subsid\w*
    | clear(s|ed)\b | stopped | disappear\w* | no\ longer | quit | ceased
    | cessation | former | unlikely | doubt\w* | less\ likely
    | low\ (suspicion|concern|risk) | (?<!be\ )(?<!not\ )(ruled\ out|excluded)
    | unremarkable
    | not\ (felt|thought|believed|consistent|suggestive|seem|appear)
    | did\ not\ (return|recur) | (does|do)\ not\ (seem|appear) | rather\ than
    | instead\ of | not\ sure | unsure | uncertain | unclear
    | unconfirmed | alleged\w* )\b""",
    re.IGNORECASE | re.VERBOSE,
)
# Before a mention: only compared with it, or tested or treated for it.
NOT_MEANT = re.compile(
    r"""
    \b( (like | as\ if | resembl\w+ | similar\ to(\ \w+)? | almost
    | nearly)\s+((an?|having)\s+)* | (vaccin\w+ | immuni[sz]\w+ | shots? | series
    | titers? | tested | testing | labs? | medic\w+
    | clinic )\s+(for|against)\s+ )\Z""",
    re.IGNORECASE | re.VERBOSE,
)

# A negation cue, and what between cue and mention ends its reach.
NEGATION = re.compile(
    r"""
    \b( no | not | cannot | denie[sd] | deny | denying | without | negative | neg
    | never | nor | neither | none | free\ of | absen(t|ce) | lack\w* | nil
    | fail(s|ed) | rules?d?\ out | w/o )(?!\w) | n['’]t\b""",
    re.IGNORECASE | re.VERBOSE,
)
NEGATION_ENDS = re.compile(
    r"""
    [;.] | \b( but | however | although | though | except | besides | other\ than
    | (apart|aside)\ from
    | with\ (slight|mild|some|moderate|severe|occasional|an?|his|her|the) | because
    | due\ to | secondary | reports? | reported | reporting | complain\w* | notes
    | noted | admits | endors\w+ | states | has | is | was | are | were | my
    | changes? | improve\w* | (?<!any\ )relief | increase\w* | decrease\w*
    | worse\w* | differen\w+ | difficult\w* | trouble | only | just | sure
    | certain | causes? | reason | help\w* | respond\w* | control\w* | treat\w*
    | medic\w+ | taking | takes? | know\w* | until | since | after | despite
    | still | which | who | given | gave | limit\w* | interfer\w+ | stop\w*
    | longer | reliev\w* | time | during | following | prior\ to | dx | stated
    | go(es)?\ down | occasional | information | resulting )\b""",
    re.IGNORECASE | re.VERBOSE,
)
# After a mention, what says that it is there: "is", but not "is absent".
STILL_THERE = re.compile(
    r"""
    \W*((and|or)\ \w+\ )?(
    (was|were|is|are|has|have|had|did|does)\b(?!\ (been\ )?(
        not | no | negative | absent | denied | resolved | ruled | noted | present
        | seen | found | identified | reported | appreciated | observed ))
    | (started|began|continu\w+|remain\w*|improv\w+|persist\w*|worsen\w*)\b
    | (every|all\ the)\ time | always | as\ (much|often|bad) | besides | enough )""",
    re.IGNORECASE | re.VERBOSE,
)
