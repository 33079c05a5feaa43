"""Word lists behind ``facts``: small, closed classes of the languages that users write most.

A word that is missing costs nothing but a guard: the similarity threshold still stands.
"""

from __future__ import annotations

from collections.abc import Mapping


def _of(text: str) -> frozenset[str]:
    return frozenset(text.split())


NEGATIONS = _of(
    "not no never none nobody nothing neither nor cannot without except unless hardly dont doesnt isnt wont cant "
    "nicht nie niemals kein keine keinen keinem keiner keines ohne weder "
    "pas jamais aucun aucune rien sans ni "
    "nunca jamás ningún ninguna ninguno nada sin tampoco "
    "non mai nessun nessuno nessuna senza né "
    "não nenhum nenhuma sem nem "
    "niet geen nooit zonder "
    "не нет никогда без ни нельзя"
)

OPPOSITES = _of(
    "before after above below over under more less most least fewer max min maximum minimum highest lowest larger "
    "smaller bigger biggest smallest longest shortest oldest newest older newer earliest latest first last next "
    "previous left right up down out on off north south east west inside outside "
    "enable disable enabled disabled allow deny allowed denied open close opened closed start stop started stopped "
    "avoid lack lacking missing full empty shut "
    "add remove added removed insert delete create destroy increase decrease increased decreased rise fall raise lower "
    "buy sell bought sold win lose won lost accept reject approve decline import export upload download push pull "
    "encrypt decrypt encode decode compress decompress install uninstall lock unlock include exclude grant revoke "
    "public private true false yes same different always ever all any only best worst good bad better worse "
    "hot cold warm cool high low fast slow early late old new male female man woman boy girl husband wife "
    "he she his her him mother father son daughter brother sister pros cons advantages disadvantages "
    "read write upgrade downgrade ascending descending synchronous asynchronous "
    "vor nach mehr weniger über unter avant après moins antes después más menos prima dopo più meno"
)

NUMBER_WORDS = _of(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion trillion "
    "once twice thrice second third fourth fifth sixth seventh eighth ninth tenth half quarter double triple dozen "
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf hundert tausend "
    "deux trois quatre cinq sept huit neuf dix onze douze cent mille "
    "dos tres cuatro cinco seis siete ocho nueve diez cien mil "
    "due tre quattro cinque sei sette otto nove dieci cento"
)

TIME_WORDS = _of(
    "january february march april may june july august september october november december "
    "jan feb mar apr jun jul aug sep sept oct nov dec "
    "monday tuesday wednesday thursday friday saturday sunday "
    "today tomorrow yesterday tonight now noon midnight morning afternoon evening weekend "
    "day days week weeks month months year years hour hours minute minutes decade century am pm "
    "januar februar märz mai juni juli oktober dezember montag dienstag mittwoch donnerstag freitag samstag sonntag "
    "heute morgen gestern "
    "janvier février mars avril juin juillet août septembre octobre novembre décembre "
    "lundi mardi mercredi jeudi vendredi samedi dimanche aujourd'hui demain hier "
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre "
    "lunes martes miércoles jueves viernes sábado domingo hoy mañana ayer"
)

FUNCTION_WORDS: Mapping[str, frozenset[str]] = {
    "en": _of(
        "the a an of to in is are was were be been and or for on with as by at from this that these those what which "
        "who how why when where do does did can could should would will i you he she it we they my your his her its "
        "our their me him them us not there please give tell explain write show have has had if but about into"
    ),
    "de": _of(
        "der die das den dem des ein eine einen einem einer und oder ist sind war waren sein zu im in auf mit von für "
        "bei aus nach wie was wer warum wann wo welche welcher ich du er sie es wir ihr mein dein nicht auch kann "
        "können soll werden wird bitte mir mich dir dich uns wenn aber über zum zur"
    ),
    "fr": _of(
        "le la les un une des du de et ou est sont était être à au aux dans en sur avec pour par que qui quoi comment "
        "pourquoi quand où quel quelle quels quelles je tu il elle nous vous ils elles mon ton son ma ta sa ce cette "
        "ces ne pas plus peut dois moi toi se si mais"
    ),
    "es": _of(
        "el la los las un una unos unas de del y o es son era ser a al en con por para que qué quién cómo cuándo dónde "
        "cuál yo tú él ella nosotros ellos mi tu su este esta estos se no más puede puedo me te lo le si pero"
    ),
    "it": _of(
        "il lo la i gli le un uno una di del della dei delle e o è sono era essere a al alla in nel nella con per che "
        "chi come perché quando dove quale io tu lui lei noi voi loro mio tuo suo questo questa si non più può mi ti se"
    ),
    "pt": _of(
        "o a os as um uma uns umas de do da dos das e ou é são era ser ao à em no na nos nas com por para que quem "
        "como quando onde qual eu tu ele ela nós vocês eles meu teu seu este esta isto se não mais pode me te lhe mas"
    ),
    "nl": _of(
        "de het een en of is zijn was waren te in op met van voor bij uit naar hoe wat wie waarom wanneer waar welke "
        "ik jij je hij zij ze wij we mijn jouw niet ook kan kunnen moet worden wordt mij me dit dat deze die als maar"
    ),
}
"""By language. Words that several languages share count for each; the one with the most hits leads."""
